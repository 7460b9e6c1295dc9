// What AWS answers, in XML: groups, instances' addresses, activities, errors.
//
// Names as in the API references of EC2 Auto Scaling (2011-01-01), EC2 (2016-11-15) and STS
// (2011-06-15).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/model/result.h"
#include "providers/aws/signature.h"

namespace autoscale::aws {

struct GroupInstance {
  std::string id;
  std::string lifecycle;  // "InService", "Terminating:Wait"
  bool healthy = true;
  bool is_protected = false;
  bool weighted = false;  // counts as more or fewer than one
};

struct Group {
  std::string name;
  int desired = 0;
  int min = 0;
  int max = 0;
  std::vector<GroupInstance> instances;
  std::vector<std::string> suspended;  // processes: "Terminate"
  std::string status;                  // "Delete in progress"; empty: all is well
  bool in_units = true;                // its capacity counts instances
  [[nodiscard]] bool IsSuspended(const std::string& process) const;
  [[nodiscard]] const GroupInstance* Find(const std::string& id) const;
};

struct GroupPage {
  std::vector<Group> groups;
  std::string next;  // empty: it is the last
};

struct Addresses {
  std::string private_ip, public_ip;  // empty: none
};

struct AddressPage {
  std::map<std::string, Addresses> by_id;
  std::string next;
};

struct Activity {
  std::string status;       // "Failed", "Successful", "InProgress"
  std::string description;  // "Launching a new EC2 instance.  Status Reason: ..."
  std::string message;
};

struct TemporaryKeys {
  AccessKeys keys;
  std::optional<int64_t> expires;  // seconds since 1970
};

// kUnavailable: it is no XML, half of it, or the answer to something else.
Result<GroupPage> ParseGroups(const std::string& body);
Result<AddressPage> ParseAddresses(const std::string& body);
Result<std::vector<Activity>> ParseActivities(const std::string& body);
Result<TemporaryKeys> ParseAssumedRole(const std::string& body);
// The answer to a call that says nothing else: "SetDesiredCapacity".
Status ParseDone(const std::string& body, const std::string& action);

// The code and message of an error, as one line; both empty where the body holds none.
struct AwsFault {
  std::string code, message;
};
AwsFault ParseFault(const std::string& body);

// Why a group's instances do not come, by its latest launch that has ended: kExhausted where AWS
// has no more of them to give. Nothing: that launch went well, or there is none.
std::optional<Error> ShortageIn(const std::vector<Activity>& activities);

// Seconds since 1970 of "2026-11-30T18:19:14Z", fractions dropped; nothing: it is none.
std::optional<int64_t> ParseTimestamp(const std::string& text);

}  // namespace autoscale::aws
