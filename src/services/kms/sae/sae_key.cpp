#include "services/kms/sae/sae_key.hpp"

#include "wire/supply_schedule.hpp"

namespace qanat::kms {

Secret make_sae_key(const crypto::Suite& suite, const kme::KeyMaking& making) {
  std::vector<std::string_view> slaves;
  slaves.reserve(making.slaves.size());
  for (const kme::SaeId& slave : making.slaves) slaves.push_back(slave.text());
  return wire::sae_key(suite, making.octets, making.id, making.master.text(), slaves, making.octets.size());
}

}  // namespace qanat::kms
