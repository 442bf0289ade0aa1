// What must hold of all keys of a network, whatever was killed and when. Judged from what is durable alone: the audit records of every
// element and the databases of the KMSs and QKMs.
#pragma once

#include "test_network.hpp"

namespace qanat::test {

/// The elements that hold keys: every KMS and QKM.
std::vector<std::string> key_holders(const app::Network& network);

/// Every element's audit record is one unbroken chain.
void expect_whole_audit_chains(TestNetwork& network);
/// No element used a link key, handed out a relayed key or delivered a working key to the same terminal more than once, and no link key was
/// used anywhere but at the two ends of its link.
void expect_each_key_used_once(TestNetwork& network);
/// Working keys end within their lifetime, and what is past its use holds no octets. The KMSs do not run meanwhile; they stopped at `stopped`.
void expect_no_key_outlives_its_use(const TestNetwork& network, UnixMs stopped);
/// The end of every working key that a KMS still knows is in its audit record; of one whose database may have other front ends, at least owed to the record
/// there, which they put right within a minute. The KMSs do not run meanwhile.
void expect_ends_on_record(TestNetwork& network);
/// A link's end never has in stock, as its own to use, a key that the other end has seen used. The QKMs do not run meanwhile.
void expect_links_to_agree(const app::Network& network);

/// All of the above; stops the key holders, looks, and starts them again.
void expect_keys_in_order(TestNetwork& network);
/// Waits until every working key is destroyed: each was confirmed by its terminal or is past its time.
void expect_all_working_keys_to_end(TestNetwork& network);

}  // namespace qanat::test
