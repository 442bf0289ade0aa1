// A route of a foreign listener whose answer blocks: a worker gives it, and where as many wait for one as may, it is refused at once.
#pragma once

#include "net/foreign.hpp"
#include "net/workers.hpp"

namespace qanat::net {

/// For ForeignRoute::answer. `busy`: the refusal (503) where no worker takes the request. The request's body, which may hold secrets, is wiped when it is done
/// with in every case. `workers` must outlive it.
std::function<void(ForeignRequest, ForeignReply)> by_worker(Workers& workers, std::function<ForeignResponse(ForeignRequest&)> work,
                                                            std::function<ForeignResponse(const ForeignRequest&)> busy);

}  // namespace qanat::net
