// Small texts of HTTP: what may be shown of a URL, and what must be escaped in a form.
#pragma once

#include <string>
#include <string_view>

#include "engine/model/time.h"

namespace autoscale {

// "http://host:port": everything before the path. Credentials are part of it.
std::string_view UrlOrigin(std::string_view url);

// The URL as a message may show it: without credentials, query and fragment.
std::string ShownUrl(std::string_view url);

// "2s", "1.5s", "250ms".
std::string ShownDuration(Millis d);

// Escapes for application/x-www-form-urlencoded.
std::string FormEscape(std::string_view text);

}  // namespace autoscale
