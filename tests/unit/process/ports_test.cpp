#include "providers/local/ports.h"

#include <gtest/gtest.h>

namespace autoscale {
namespace {

TEST(ChoosePort, LowestThatIsNotClaimed) {
  const int first = 32000;
  const auto port = ChoosePort("127.0.0.1", first, first + 9, {});
  ASSERT_TRUE(port.ok());
  const auto next = ChoosePort("127.0.0.1", first, first + 9, {*port});
  ASSERT_TRUE(next.ok());
  EXPECT_GT(*next, *port);
}

TEST(ChoosePort, AllClaimedIsExhausted) {
  const auto port = ChoosePort("127.0.0.1", 32000, 32001, {32000, 32001});
  ASSERT_FALSE(port.ok());
  EXPECT_EQ(port.error().kind, ErrorKind::kExhausted);
  EXPECT_EQ(port.error().message, "no free port in 32000-32001");
}

}  // namespace
}  // namespace autoscale
