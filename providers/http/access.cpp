// How the manager lets us in: the sections `auth`, `tls` and `headers`.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "config/endpoint.h"
#include "config/scalar.h"
#include "net/http_text.h"
#include "providers/http/options.h"

namespace autoscale {
namespace {

using Auth = HttpAccess::Auth;

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

SecretRef RequiredSecret(Section& section, const std::string& key, const std::string& of) {
  if (!section.Has(key)) {
    section.Fault("", "'" + of + "." + key + "' is missing; say where it is: {file: PATH}");
    return {};
  }
  return section.Secret(key).value_or(SecretRef{});
}

void ParseOAuth2(Section& section, HttpAccess& access) {
  access.auth = Auth::kOAuth2;
  access.token_url = section.RequiredString("token_url");
  if (const std::string fault = HttpUrlFault(access.token_url);
      !access.token_url.empty() && !fault.empty()) {
    section.Fault("token_url", "'provider.auth.oauth2.token_url' " + fault);
  }
  access.name = section.RequiredString("client_id");
  access.secret = RequiredSecret(section, "client_secret", "provider.auth.oauth2");
  access.secret_in_form = section.Choice("client_auth", 0, {"basic", "form"}) == 1;
  if (section.Has("scope")) access.form.emplace_back("scope", section.String("scope"));
  for (auto& parameter : section.StringMap("parameters")) {
    if (parameter.first == "grant_type" || parameter.first == "client_secret") {
      section.Fault("parameters", "'" + parameter.first + "' is not given here");
    }
    access.form.push_back(std::move(parameter));
  }
  section.Finish();
}

void ParseAuth(Section& section, HttpAccess& access) {
  auto auth = section.Child("auth");
  if (!auth) return;
  if (auto secret = auth->Secret("bearer")) {
    access.auth = Auth::kBearer;
    access.secret = *secret;
  }
  if (auto basic = auth->Child("basic")) {
    access.auth = Auth::kBasic;
    access.name = basic->RequiredString("username");
    access.secret = RequiredSecret(*basic, "password", "provider.auth.basic");
    basic->Finish();
  }
  if (auto header = auth->Child("header")) {
    access.auth = Auth::kHeader;
    access.name = header->RequiredString("name");
    access.secret = RequiredSecret(*header, "value", "provider.auth.header");
    if (const std::string fault = HeaderFault(access.name, ""); !fault.empty()) {
      header->Fault("name", "'provider.auth.header.name' " + fault);
    }
    header->Finish();
  }
  if (auto oauth2 = auth->Child("oauth2")) ParseOAuth2(*oauth2, access);
  auth->Finish();
  if (auth->Keys().size() != 1) {
    section.Fault("auth", "'provider.auth' must be one of bearer, basic, header and oauth2");
  }
}

std::string ExistingFile(Section& section, const std::string& key) {
  std::string path = section.Path(key);
  std::error_code fault;
  if (!path.empty() && !std::filesystem::exists(path, fault)) {
    section.Warn(key, "there is no file " + path);
  }
  return path;
}

void ParseTls(Section& section, HttpAccess& access) {
  auto tls = section.Child("tls");
  if (!tls) return;
  access.ca_file = ExistingFile(*tls, "ca_file");
  access.certificate_file = ExistingFile(*tls, "certificate_file");
  access.key_file = ExistingFile(*tls, "key_file");
  if (tls->Has("key_file") && !tls->Has("certificate_file")) {
    tls->Fault("key_file", "'provider.tls.key_file' needs 'certificate_file': the certificate");
  }
  tls->Finish();
}

}  // namespace

std::string HeaderFault(const std::string& name, const std::string& value) {
  const bool token = !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
  if (!token) return "cannot be a header's name";
  static constexpr std::string_view kOurs[] = {"authorization",  "idempotency-key",   "host",
                                               "content-length", "transfer-encoding", "connection"};
  if (std::find(std::begin(kOurs), std::end(kOurs), Lower(name)) != std::end(kOurs)) {
    return name + " is not given here" +
           (Lower(name) == "authorization" ? "; say 'auth', which reads the secret from a file"
                                           : ": it is set by itself");
  }
  const bool printable = std::all_of(value.begin(), value.end(),
                                     [](unsigned char c) { return c >= ' ' && c != 0x7f; });
  return printable ? "" : "holds a line break or another control character";
}

std::string HttpUrlFault(const std::string& url) {
  if (url.find('@') != std::string::npos && UrlOrigin(url).find('@') != std::string::npos) {
    return "must hold no user and password; say 'auth' instead";
  }
  if (url.find('#') != std::string::npos) return "must not hold a '#'";
  const size_t query = url.find('?');
  if (query != std::string::npos && std::any_of(url.begin() + static_cast<long>(query), url.end(),
                                                [](unsigned char c) { return c <= ' '; })) {
    return "must hold no blanks: write %20";
  }
  return UrlFault(url.substr(0, query));
}

HttpAccess ParseHttpAccess(Section& section, const std::string& service) {
  HttpAccess access;
  ParseAuth(section, access);
  ParseTls(section, access);
  for (const auto& [name, text] : section.StringMap("headers")) {
    const auto value = HttpTemplate::Parse(text, {"service"});
    std::string fault = value.ok() ? HeaderFault(name, text) : value.error().message;
    if (!fault.empty()) {
      section.Fault("headers", "'provider.headers." + name + "' " + fault);
      continue;
    }
    access.headers.emplace_back(name, value->Render({.service = service}, HttpEscaping::kHeader));
  }
  return access;
}

std::string HttpAccess::Key() const {
  std::string key = std::to_string(static_cast<int>(auth)) +
                    std::to_string(static_cast<int>(secret.from)) + (secret_in_form ? "f" : "b");
  const auto add = [&key](const std::string& text) { key += '\n' + text; };
  for (const auto& text : {secret.name, name, token_url, ca_file, certificate_file, key_file}) {
    add(text);
  }
  for (const auto* pairs : {&form, &headers}) {
    add(std::to_string(pairs->size()));
    for (const auto& [left, right] : *pairs) add(left + '\n' + right);
  }
  return key;
}

}  // namespace autoscale
