// Where a medium's header copies and slots are: files here, standing for the SIM's, TF card's and PCI card's own file system. A driver for the hardware takes
// this interface's place (SKF_ReadFile and SKF_WriteFile of GM/T 0016, or READ RECORD and UPDATE RECORD of ETSI TS 102 221).
#pragma once

#include <filesystem>
#include <memory>

#include "terminal/media/medium_format.hpp"

namespace qanat::terminal {

class MediumStorage {
 public:
  virtual ~MediumStorage() = default;
  /// `copy` 0 or 1. Writes are on the disk before they return.
  virtual Result<Bytes> read_header(std::size_t copy) = 0;
  virtual Result<void> write_header(std::size_t copy, ByteView block) = 0;
  /// slot_size octets: zeros where none was written.
  virtual Result<Bytes> read_slot(wire::KeySet set, std::uint32_t index) = 0;
  /// Not on the disk before sync().
  virtual Result<void> write_slot(wire::KeySet set, std::uint32_t index, ByteView octets) = 0;
  virtual Result<void> sync() = 0;
  /// Zeros over every slot of index below `end`, from `begin` on; on the disk before it returns.
  virtual Result<void> erase(wire::KeySet set, std::uint32_t begin, std::uint32_t end) = 0;
};

/// A new medium's place; conflict if there is something already.
Result<std::unique_ptr<MediumStorage>> make_medium_storage(const std::filesystem::path& path, const MediumKindRow& kind);
/// What is there: a folder is a tree, a file has records, whose number the header in it says; not_found if nothing is.
Result<std::unique_ptr<MediumStorage>> open_medium_storage(const std::filesystem::path& path);

}  // namespace qanat::terminal
