// What was done with a network's roots, in order: transcript-0001.json and on, each with the SHA-256 of the one before it, signed by both roots
// (transcript-0001.sig, hexadecimal). Own design: signed is "qanat root transcript v1\n" and the file's octets, which no certificate begins with.
#pragma once

#include <string>
#include <vector>

#include "services/cas/root.hpp"

namespace qanat::cas {

/// One thing that was done.
struct RootAct {
  std::string act;      // "ceremony", "issuing"
  std::string network;  // common name of the ML-DSA root
  std::string keeping;  // where the roots' keys are: "files", "pkcs11: sealed by token 'x', key 'y'", "sdf: sealed by keys that KEK 1 wraps" …
  UnixMs at = 0;
  std::vector<std::pair<std::string, crypto::Certificate>> made;  // file name and what is in it
};

/// "2026-11-28T19:30:00Z".
std::string utc_time(UnixMs at);

/// Appends; durable before it returns. The text that was written.
Result<std::string> write_transcript(const std::filesystem::path& folder, const Roots& roots, const RootAct& act, crypto::Rng& rng);

struct TranscriptRecord {
  std::string file;
  std::string text;
};
/// All of it, checked against the roots' certificates in the folder: numbers without a gap, each with the hash of the one before it, both signatures. `denied`
/// says which record does not hold. Whether these are the right roots, their fingerprints say: compare them with what was written down at the ceremony.
Result<std::vector<TranscriptRecord>> verify_transcript(const std::filesystem::path& folder);

}  // namespace qanat::cas
