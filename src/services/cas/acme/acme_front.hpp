// The ACME server as routes of a listener: the work is done on threads of its own, behind a bounded queue.
#pragma once

#include "net/foreign.hpp"
#include "net/workers.hpp"
#include "services/cas/acme/acme.hpp"

namespace qanat::cas {

class AcmeFront {
 public:
  explicit AcmeFront(Acme& acme);
  ~AcmeFront() { stop(); }
  AcmeFront(const AcmeFront&) = delete;
  AcmeFront& operator=(const AcmeFront&) = delete;

  /// Its routes refer to this object: the listener stops first.
  [[nodiscard]] net::ForeignService service();
  void stop() { workers_.stop(net::Waiting::drop); }

 private:
  void answer(const Acme::Resource& resource, net::ForeignRequest request, net::ForeignReply reply);

  Acme& acme_;
  net::Workers workers_;
};

}  // namespace qanat::cas
