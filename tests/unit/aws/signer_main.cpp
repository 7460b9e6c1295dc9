// Signs what it reads: a JSON object a line in, its Authorization header a line out. For
// signature_oracle.py.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "providers/aws/signature.h"

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    const auto in = nlohmann::json::parse(line);
    autoscale::aws::RequestToSign request{
        .method = in["method"], .path = in["path"], .query = in["query"]};
    for (const auto& header : in["headers"]) request.headers.emplace_back(header[0], header[1]);
    request.body = in["body"];
    const autoscale::aws::AccessKeys keys{
        .id = in["id"], .secret = in["secret"], .token = in["token"]};
    const auto added = autoscale::aws::Sign(
        request, keys, {.region = in["region"], .service = in["service"], .time = in["time"]});
    std::cout << added.back().second << '\n';
  }
}
