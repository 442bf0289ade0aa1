// What this element takes from kme/stock, where the KMS has it too: stocks of keys that two ends share, and keys for SAEs out of them.
#pragma once

#include "kme/stock/activation.hpp"
#include "kme/stock/arrivals.hpp"
#include "kme/stock/batches.hpp"
#include "kme/stock/delivery.hpp"
#include "kme/stock/pool_filler.hpp"
#include "kme/stock/pools.hpp"

namespace qanat::qkm {

using kme::Chunk;
using kme::KeyQuality;
using kme::KeyStock;
using kme::KeyWay;
using kme::Onward;
using kme::Owner;
using kme::QualityDemand;
using kme::StockLevel;
using kme::StockName;
using kme::Taken;
using kme::about_max;
using kme::chunk_keys_max;
using kme::put_keys;
using kme::slice_keys;
using kme::stock_key_size;
using kme::ways_all;

using kme::Arrivals;
using kme::Pool;
using kme::PoolFiller;
using kme::are_disjoint;
using kme::disjoint_pools;
using kme::domain_stocks;
using kme::pool_named;
using kme::stock_of;
using kme::stop_look_every;

using kme::ActivatedKeys;
using kme::Activation;
using kme::ActivationId;
using kme::Assignment;
using kme::Assignments;
using kme::Batches;
using kme::Carried;
using kme::DeliveryParts;
using kme::DeliveryPlace;
using kme::DeliveryPorts;
using kme::IdRun;
using kme::SaeDelivery;
using kme::activation_keys_max;
using kme::assignment_keys_max;
using kme::assignment_slaves_max;
using kme::cut_keys;
using kme::first_share;
using kme::id_runs;
using kme::joined_keys;
using kme::read_activation;
using kme::shares_max;
using kme::some_keys;
using kme::write_activation;
using kme::xor_shares;

using kme::EndState;
using kme::StockRun;
using kme::StreamAnswer;
using kme::StreamId;
using kme::StreamNote;
using kme::merged;
using kme::plain;
using kme::read_answer;
using kme::read_note;
using kme::read_stock_run;
using kme::stock_keys_in;
using kme::stream_chunk_octets_max;
using kme::stream_chunks_max;
using kme::stride_of;
using kme::write_answer;
using kme::write_note;
using kme::write_stock_run;

}  // namespace qanat::qkm
