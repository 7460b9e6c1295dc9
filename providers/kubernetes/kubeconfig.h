// Where a cluster is and who we are there: from a kubeconfig, or from the pod that we run in.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/result.h"

namespace autoscale {

// A program that tells who we are (client.authentication.k8s.io).
struct ExecPlugin {
  std::string api_version;
  std::vector<std::string> command;  // the program and its arguments
  std::vector<std::pair<std::string, std::string>> environment;
  std::string install_hint;  // shown when there is no such program
};

struct ClusterAccess {
  std::string server;  // "https://10.0.0.1:6443", without a slash at the end
  std::string ca_pem;  // empty: the system's certificates
  bool verify = true;
  std::string client_cert_pem, client_key_pem;
  std::string token;
  std::string username, password;
  ExecPlugin exec;  // no command: there is none
};

// Reads all of it, files that it names included: they rotate, so that it is read again from time to
// time. `kubeconfig` empty: the account of the pod. `context` empty: the current one. Errors name
// the file and what to do, never what is secret. Blocks on files.
Result<ClusterAccess> ReadAccess(const std::string& kubeconfig, const std::string& context);

}  // namespace autoscale
