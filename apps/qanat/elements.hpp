// The elements as processes: read settings, open the node, enrol, build the service, serve, stop in order.
#pragma once

#include <filesystem>

namespace qanat::app {

// Each runs until SIGINT or SIGTERM. Exit code 0 after an orderly stop; 1 with one line on standard error otherwise.
int run_cas(const std::filesystem::path& config);
int run_iam(const std::filesystem::path& config);
int run_cmsp(const std::filesystem::path& config);
int run_ccs(const std::filesystem::path& config);
int run_kms(const std::filesystem::path& config);
int run_qkm(const std::filesystem::path& config);
int run_qkdnc(const std::filesystem::path& config);
int run_qkd(const std::filesystem::path& config);
/// The agent of a gateway (DEV-1). SIGHUP has its tunnels change their keys.
int run_gateway(const std::filesystem::path& config);

}  // namespace qanat::app
