// YamlFile: one file's text -> one YAML document, or the fault that keeps it from being one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/section.h"
#include "engine/model/result.h"

namespace autoscale {

// Reads a whole regular file of at most `max_bytes`. Error: a phrase without the path ("No such
// file or directory").
Result<std::string> ReadFile(const std::string& path, size_t max_bytes);

// Reads and parses a file that holds one mapping. Reports whatever is wrong with the file as a
// whole, and keys given twice at every level (yaml-cpp passes those silently). Answers nothing when
// there is no mapping to go on with.
std::optional<Section> ReadYamlFile(const std::string& path, std::vector<Diagnostic>* diagnostics);
// The same of text that is already there; `path` is what messages and relative paths go by.
std::optional<Section> ReadYamlText(const std::string& path, std::string text,
                                    std::vector<Diagnostic>* diagnostics);

}  // namespace autoscale
