#include "net/crl_watch.hpp"

namespace qanat::net {

CrlWatch::CrlWatch(ForeignTls tls) : tls_(std::move(tls)), read_(written()) {}

std::optional<std::filesystem::file_time_type> CrlWatch::written() const {
  if (tls_.crls.empty()) return std::nullopt;
  std::error_code error;
  const auto out = std::filesystem::last_write_time(tls_.crls, error);
  return error ? std::nullopt : std::optional(out);
}

Result<void> CrlWatch::look(ForeignListener& listener) {
  const auto now = written();
  if (!now || now == read_) return {};
  TRY(listener.renew(tls_));
  listener.end_open();
  read_ = now;
  return {};
}

}  // namespace qanat::net
