// One end of a QKD link as its process has it, for tests that restart it: what stands on disk, and the end that a restart makes anew.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "crypto/device.hpp"
#include "crypto/random.hpp"
#include "quantum/qkd/process/records.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkd::test {

template <class End>
struct EndProcess {
  qanat::test::TemporaryDirectory directory;
  std::unique_ptr<crypto::Rng> random = std::move(*crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device = std::move(*crypto::open_software_device(directory / "master.key", *random));
  std::unique_ptr<Records> records;
  std::unique_ptr<End> end;
  int blocks_stored = 0;

  /// The end dies, its records are read again.
  void reopen() {
    end.reset();
    records.reset();
    records = std::move(*Records::open(directory / "qkd.db", *device));
  }
  /// The blocks that wait for the QKM, by number; it has them now.
  std::map<std::uint64_t, Secret> take_all() {
    std::map<std::uint64_t, Secret> out;
    while (true) {
      auto block = records->next_undelivered();
      if (!block || !*block) return out;
      EXPECT_TRUE(records->delivered((*block)->block_id));
      out.emplace((*block)->block_id, std::move((*block)->keys));
    }
  }
};

}  // namespace qanat::qkd::test
