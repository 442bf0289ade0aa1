// Who may wait for a caller's key, and who is told to apply again.
#include "services/kms/kma/waiting_places.hpp"

#include <vector>

#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using Session = WaitingPlaces::Session;
using test::must;
using test::refusal;

Uid waiter(int which) { return Uid("uid" + std::to_string(which)); }

TEST(WaitingPlacesTest, HalfOfTheWorkersMayWaitAndHalfOfThoseForWhatNobodyAnnounced) {
  WaitingPlaces places(8);
  std::vector<WaitingPlaces::Place> taken;
  for (int i = 0; i < 2; ++i) taken.push_back(must(places.take(waiter(i), Session::unannounced)));
  EXPECT_EQ(refusal(places.take(waiter(2), Session::unannounced)), ErrorCode::exhausted);
  for (int i = 2; i < 4; ++i) taken.push_back(must(places.take(waiter(i), Session::announced)));
  EXPECT_EQ(refusal(places.take(waiter(4), Session::announced)), ErrorCode::exhausted);
  taken.pop_back();
  EXPECT_EQ(refusal(places.take(waiter(4), Session::unannounced)), ErrorCode::exhausted) << "its half is still taken";
  EXPECT_TRUE(places.take(waiter(4), Session::announced));
  taken.clear();
  EXPECT_TRUE(places.take(waiter(4), Session::unannounced));
}

TEST(WaitingPlacesTest, AnnouncedSessionsMayHaveAllPlaces) {
  WaitingPlaces places(8);
  std::vector<WaitingPlaces::Place> taken;
  for (int i = 0; i < 4; ++i) taken.push_back(must(places.take(waiter(i), Session::announced)));
  EXPECT_EQ(refusal(places.take(waiter(4), Session::unannounced)), ErrorCode::exhausted);
}

TEST(WaitingPlacesTest, NoSubscriberHasMoreThanTwo) {
  WaitingPlaces places(64);
  std::vector<WaitingPlaces::Place> taken;
  taken.push_back(must(places.take(waiter(1), Session::unannounced)));
  taken.push_back(must(places.take(waiter(1), Session::announced)));
  const auto third = places.take(waiter(1), Session::announced);
  EXPECT_EQ(refusal(third), ErrorCode::exhausted);
  EXPECT_EQ(third.error().message, "uid1 waits for 2 callers' keys already; apply again");
  EXPECT_TRUE(places.take(waiter(2), Session::unannounced));
  taken.pop_back();
  EXPECT_TRUE(places.take(waiter(1), Session::announced));
}

TEST(WaitingPlacesTest, WithOneWorkerNobodyWaitsAndWithTwoOneDoes) {
  WaitingPlaces none(1);
  EXPECT_EQ(refusal(none.take(waiter(1), Session::announced)), ErrorCode::exhausted);
  WaitingPlaces one(2);
  EXPECT_TRUE(one.take(waiter(1), Session::unannounced));
}

}  // namespace
}  // namespace qanat::kms
