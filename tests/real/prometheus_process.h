// PrometheusProcess: a real Prometheus in a folder of its own, ended with the test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace autoscale {

// The program in $AUTOSCALE_PARTS/usr/bin or on the PATH; empty: there is none.
std::string FindPrometheus();

class PrometheusProcess {
 public:
  // Starts it with this configuration. `past`, in the OpenMetrics format, is what it knows already;
  // that takes the promtool beside the program.
  PrometheusProcess(const std::string& program, const std::string& configuration,
                    const std::string& past = "");
  // Kills it and removes its folder.
  ~PrometheusProcess();
  PrometheusProcess(const PrometheusProcess&) = delete;
  PrometheusProcess& operator=(const PrometheusProcess&) = delete;

  [[nodiscard]] std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void Signal(int signal) const;
  void Kill();
  // After Kill: at the same address, with nothing of what it knew.
  void StartEmpty();

 private:
  void Launch();
  void Fill(const std::string& past) const;
  static pid_t Run(const std::vector<std::string>& arguments);

  std::string program_;
  int port_;
  std::string folder_;
  pid_t pid_ = -1;
};

}  // namespace autoscale
