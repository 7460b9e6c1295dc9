// What HAProxy says. The answers are those of HAProxy 2.6.12, columns that nobody reads left out
// here and there.
#include "gateways/haproxy/messages.h"

#include <gtest/gtest.h>

namespace autoscale::haproxy {
namespace {

const std::string kInfo = "Name: HAProxy\nVersion: 2.6.12-1\nUptime_sec: 141\nTainted: 0\n\n";
const std::string kColumns =
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "
    "srv_iweight srv_time_since_last_change srv_fqdn srv_port srvrecord\n";
const std::string kTwo = kColumns +
                         "3 web 600001 autoscaled-127.0.0.1:9001 127.0.0.1 2 0 100 1 5 - 9001 -\n"
                         "3 web 2 other fd00::1 2 8 7 1 5 - 80 -\n\n";

TEST(HaproxyLook, ReadsServers) {
  const auto look = ParseLook(kTwo, {"web"});
  ASSERT_TRUE(look.ok()) << look.error().message;
  ASSERT_EQ(look->size(), 1u);
  const Backend& web = look->front();
  EXPECT_TRUE(web.known);
  EXPECT_EQ(web.id, 3u);
  ASSERT_EQ(web.servers.size(), 2u);
  EXPECT_EQ(web.servers[0].id, 600001u);
  EXPECT_EQ(web.servers[0].name, "autoscaled-127.0.0.1:9001");
  EXPECT_EQ(web.servers[0].host, "127.0.0.1");
  EXPECT_EQ(web.servers[0].port, 9001);
  EXPECT_EQ(web.servers[0].weight, 100);
  EXPECT_EQ(web.servers[0].admin, 0u);
  EXPECT_EQ(web.servers[1].host, "fd00::1");
  EXPECT_EQ(web.servers[1].admin, 8u);
}

TEST(HaproxyLook, TellsBackendsApartAndThoseThatAreNotThere) {
  const auto look =
      ParseLook("Can't find backend.\n\n" + kTwo + kColumns + "\n", {"no", "web", "empty"});
  ASSERT_TRUE(look.ok()) << look.error().message;
  ASSERT_EQ(look->size(), 3u);
  EXPECT_FALSE((*look)[0].known);
  EXPECT_EQ((*look)[1].servers.size(), 2u);
  EXPECT_TRUE((*look)[2].known);
  EXPECT_EQ((*look)[2].id, 0u);
  EXPECT_TRUE((*look)[2].servers.empty());
}

TEST(HaproxyLook, RefusesEveryOtherAnswer) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"nothing", ""},
      {"another program", "SSH-2.0-OpenSSH_9.2\r\n"},
      {"a web page", "<html>Welcome to nginx!</html>"},
      {"cut in a row", kTwo.substr(0, kTwo.size() - 20)},
      {"cut between rows", kTwo.substr(0, kTwo.find("3 web 2"))},
      {"cut before the last line", kTwo.substr(0, kTwo.size() - 1)},
      {"another backend's", kColumns + "3 shop 1 a 1.1.1.1 2 0 1 1 5 - 80 -\n\n"},
      {"a column is missing", "1\n# be_id be_name srv_id\n\n"},
      {"a row is short", kColumns + "3 web 1 a\n\n"},
      {"an id that is none", kColumns + "3 web x a 1.1.1.1 2 0 1 1 5 - 80 -\n\n"},
      {"a port that is none", kColumns + "3 web 1 a 1.1.1.1 2 0 1 1 5 - 70000 -\n\n"},
      {"a weight that is none", kColumns + "3 web 1 a 1.1.1.1 2 0 -1 1 5 - 80 -\n\n"},
      {"more than was asked for", kTwo + kTwo},
      {"more after a refusal", "Can't find backend.\nmore\n\n"},
  };
  for (const auto& [what, text] : rows) {
    const auto look = ParseLook(text, {"web"});
    ASSERT_FALSE(look.ok()) << what;
    EXPECT_EQ(look.error().kind, ErrorKind::kUnavailable) << what;
    EXPECT_TRUE(look.error().message.starts_with("the answer is not one of HAProxy's Runtime API"))
        << what << ": " << look.error().message;
  }
}

TEST(HaproxyLoads, CountsThoseServedAndThoseWaiting) {
  const std::string header = "# pxname,svname,qcur,qmax,scur,smax,slim,stot,status,\n";
  const auto loads =
      ParseLoads(kInfo + header + "web,a,2,5,3,9,,12,no check,\nweb,b,0,0,0,0,,0,DRAIN,\n\n" +
                 header + "shop,a,0,0,7,9,,12,\"x,y\",\n\n");
  ASSERT_TRUE(loads.ok()) << loads.error().message;
  EXPECT_EQ(loads->in_flight,
            (std::map<std::string, int>{{"web/a", 5}, {"web/b", 0}, {"shop/a", 7}}));
  EXPECT_EQ(loads->uptime, Millis(141'000));
  EXPECT_TRUE(ParseLoads(kInfo)->in_flight.empty());
}

TEST(HaproxyLoads, OfTwoProcessesTheYoungerIsBelieved) {
  const std::string young = "Name: HAProxy\nUptime_sec: 0\n\n";
  const std::string row = "# pxname,svname,qcur,qmax,scur,\nweb,a,0,0,0,\n\n";
  EXPECT_EQ(ParseLoads(kInfo + row + young + row)->uptime, Millis(0));
  EXPECT_EQ(ParseLoads(young + row + kInfo + row)->uptime, Millis(0));
}

TEST(HaproxyLoads, RefusesEveryOtherAnswer) {
  const std::string header = "# pxname,svname,qcur,qmax,scur,\n";
  for (const std::string& text :
       {std::string(), kInfo + "No such proxy.\n\n", kInfo + header + "web,a,0,0,0,\n",
        header + "web,a,0,0,0,\n\n", kInfo + header + "web,a,0,0\n\n",
        kInfo + header + "web,a,-1,0,0,\n\n", kInfo + header + "web,a,2147483647,0,1,\n\n",
        kInfo + "# pxname,svname\n\n", std::string("\x01\x02"), std::string("Name: HAProxy\n\n"),
        std::string("Name: HAProxy\nUptime_sec: soon\n\n"), kInfo.substr(0, kInfo.size() - 1),
        kInfo.substr(0, 30)}) {
    const auto loads = ParseLoads(text);
    ASSERT_FALSE(loads.ok()) << text;
    EXPECT_EQ(loads.error().kind, ErrorKind::kUnavailable) << text;
  }
}

TEST(HaproxyComplaints, AreWhatIsGraveOrUnmarked) {
  EXPECT_TRUE(Complaints("\n[6]: New server registered.\n\n\n\n").empty());
  EXPECT_TRUE(Complaints("\n[4]: IP changed from '1.1.1.1' to '1.1.1.2'\n\n").empty());
  EXPECT_EQ(Complaints("\n[3]: No such server.\n\n[6]: Server deleted.\n"),
            std::vector<std::string>{"No such server."});
  EXPECT_EQ(Complaints("Permission denied\n\n"), std::vector<std::string>{"Permission denied"});
  EXPECT_EQ(Complaints("\n[6]: Unknown command, but maybe\n  show fd [num]\n\n")[0],
            "Unknown command, but maybe");
  EXPECT_LE(Complaints(std::string(100'000, '\n') + std::string(100'000, 'x'))[0].size(), 120u);
}

TEST(HaproxyComplaints, TellWhatTheDaemonOrAPersonCanDo) {
  const Error denied = JudgeComplaint("Permission denied", "web");
  EXPECT_EQ(denied.kind, ErrorKind::kForbidden);
  EXPECT_EQ(denied.message, "permission denied: the 'stats socket' line needs 'level admin'");
  const Error balance = JudgeComplaint(
      "Backend must use a dynamic load balancing to support dynamic servers.", "web");
  EXPECT_EQ(balance.kind, ErrorKind::kInvalid);
  EXPECT_NE(balance.message.find("use roundrobin, leastconn, random"), std::string::npos);
  const Error unknown = JudgeComplaint("No such backend.", "web");
  EXPECT_EQ(unknown.kind, ErrorKind::kInvalid);
  EXPECT_EQ(unknown.message,
            "there is no backend web; write 'backend web' into haproxy.cfg, or name another with "
            "'upstream'");
  EXPECT_EQ(JudgeComplaint("No room.", "web").kind, ErrorKind::kUnavailable);
  EXPECT_EQ(JudgeComplaint("No room.", "web").message, "HAProxy says 'No room.'");
}

}  // namespace
}  // namespace autoscale::haproxy
