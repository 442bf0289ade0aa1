#include "net/foreign_workers.hpp"

namespace qanat::net {
namespace {

/// Also in the hands of who submits it: a job that is not taken is lost.
struct Errand {
  Errand(ForeignRequest asked, ForeignReply answered) : request(std::move(asked)), reply(std::move(answered)) {}
  ~Errand() { wipe(request.body); }
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;
  void end(ForeignResponse response) {
    wipe(request.body);
    reply(std::move(response));
  }

  ForeignRequest request;
  ForeignReply reply;
};

}  // namespace

std::function<void(ForeignRequest, ForeignReply)> by_worker(Workers& workers, std::function<ForeignResponse(ForeignRequest&)> work,
                                                            std::function<ForeignResponse(const ForeignRequest&)> busy) {
  const auto shared_work = std::make_shared<const std::function<ForeignResponse(ForeignRequest&)>>(std::move(work));  // by the jobs that run
  return [&workers, shared_work, busy = std::move(busy)](ForeignRequest request, ForeignReply reply) {
    const auto errand = std::make_shared<Errand>(std::move(request), std::move(reply));
    if (workers.submit([shared_work, errand] { errand->end((*shared_work)(errand->request)); })) return;
    errand->end(busy(errand->request));
  };
}

}  // namespace qanat::net
