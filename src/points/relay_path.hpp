// How long a relay may be: one bound for the controller that names the path (Kq-2), for the QKMs that relay hop by hop, and for the
// centralised relay. The messages of all three hold a path of this length within their limits (points/endpoints.cpp).
#pragma once

#include <cstddef>

namespace qanat::points {

inline constexpr std::size_t relay_nodes_max = 128;  // with both ends

}  // namespace qanat::points
