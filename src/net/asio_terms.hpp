// What the servers, sessions and connections of this folder say to Asio and Beast in the same words, and the limits that they share.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/string_type.hpp>
#include <chrono>
#include <cstddef>
#include <string_view>

namespace qanat::net {

/// co_await … (…, as_result) gives the error code as the first of a tuple instead of throwing it.
inline constexpr auto as_result = boost::asio::as_tuple(boost::asio::use_awaitable);

inline std::string_view text_of(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }

inline constexpr std::size_t read_chunk = 16 * 1024;                   // one TLS record
inline constexpr std::size_t refusals_waiting_max = 1024;              // for the sink that records them
inline constexpr std::chrono::milliseconds accept_retry_after{50};     // when the process is out of descriptors

}  // namespace qanat::net
