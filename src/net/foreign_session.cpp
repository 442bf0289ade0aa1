#include "net/asio_terms.hpp"
#include "net/foreign_session.hpp"

#include <openssl/err.h>

#include <algorithm>

namespace qanat::net {

using boost::asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::chrono::milliseconds farewell_max{1000};  // for the peer to read our last words and close

}  // namespace

void Mailbox::put(Letter letter) {
  const std::lock_guard lock(mutex_);
  if (!wake_) return;
  letters_.push_back(std::move(letter));
  if (letters_.size() == 1) wake_();
}

std::vector<Mailbox::Letter> Mailbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(letters_, {});
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  wake_ = nullptr;
  letters_.clear();
}

ForeignSession::ForeignSession(ForeignLoop& loop, tcp::socket socket, std::string address)
    : loop_(loop), socket_(std::move(socket)), address_(std::move(address)) {
  if (loop.tls.plain()) return;
  ssl_ = loop.tls.begin();
  CHECK(ssl_ != nullptr && SSL_set_fd(ssl_.get(), static_cast<int>(socket_.native_handle())) == 1);
  SSL_set_accept_state(ssl_.get());
  attach(ssl_.get(), &check_);
}

ForeignSession::~ForeignSession() { wipe(received_); }

void ForeignSession::start() {
  error_code error;
  socket_.set_option(tcp::no_delay(true), error);
  socket_.non_blocking(true, error);
  if (!ssl_) return open_protocol();
  enter(State::handshake, loop_.limits.handshake_max);
  shake_hands();
}

void ForeignSession::enter(State state, std::chrono::milliseconds span) {
  state_ = state;
  until_ = Clock::now() + span;
}

void ForeignSession::wait(tcp::socket::wait_type what, void (ForeignSession::*next)()) {
  socket_.async_wait(what, [self = shared_from_this(), next](error_code error) {
    if (self->state_ == State::closed) return;
    if (error) return self->close();
    (*self.*next)();
  });
}

bool ForeignSession::waits(int result, void (ForeignSession::*next)()) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) wait(tcp::socket::wait_read, next);
  if (error == SSL_ERROR_WANT_WRITE) wait(tcp::socket::wait_write, next);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

void ForeignSession::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result != 1) {
    if (!waits(result, &ForeignSession::shake_hands)) refuse_handshake();
    return;
  }
  open_protocol();
}

void ForeignSession::open_protocol() {
  ForeignPeer peer;
  peer.address = address_;
  protocol_ = loop_.protocol(std::make_shared<const ForeignPeer>(ssl_ ? describe_peer(ssl_.get(), check_, address_) : std::move(peer)));
  enter(State::reading, loop_.limits.idle_max);
  read();
}

ForeignSession::Moved ForeignSession::receive(std::span<std::uint8_t> into, std::size_t& size, void (ForeignSession::*next)()) {
  if (!ssl_) {
    error_code error;
    size = socket_.read_some(boost::asio::buffer(into.data(), into.size()), error);
    if (error == boost::asio::error::would_block) {
      wait(tcp::socket::wait_read, next);
      return Moved::nothing_yet;
    }
    return error || size == 0 ? Moved::ended : Moved::octets;
  }
  ERR_clear_error();
  if (SSL_read_ex(ssl_.get(), into.data(), into.size(), &size) == 1) return Moved::octets;
  return waits(0, next) ? Moved::nothing_yet : Moved::ended;
}

ForeignSession::Moved ForeignSession::transmit(std::span<const std::uint8_t> from, std::size_t& size, void (ForeignSession::*next)()) {
  if (!ssl_) {
    error_code error;
    size = socket_.write_some(boost::asio::buffer(from.data(), from.size()), error);
    if (error == boost::asio::error::would_block) {
      wait(tcp::socket::wait_write, next);
      return Moved::nothing_yet;
    }
    return error ? Moved::ended : Moved::octets;
  }
  ERR_clear_error();
  if (SSL_write_ex(ssl_.get(), from.data(), from.size(), &size) == 1) return Moved::octets;
  return waits(0, next) ? Moved::nothing_yet : Moved::ended;
}

bool ForeignSession::has_more_decrypted() const { return ssl_ && SSL_has_pending(ssl_.get()) == 1; }

void ForeignSession::refuse_handshake() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (check_.refused) {
    loop_.record({.point = "", .peer = address_, .reason = "handshake: " + check_.refused->message, .code = check_.refused->code});
  } else if (code != 0) {
    loop_.record({.point = "", .peer = address_, .reason = "handshake: " + tls_reason(code), .code = ErrorCode::unauthenticated});
  } else {
    return close();  // it left
  }
  say_goodbye();
}

/// Reads what is there, and hands it on.
void ForeignSession::read() {
  if (finishing_ && !within_) return say_goodbye();
  if (filled_ + read_chunk > received_.size()) {
    if (used_ > 0) {
      std::copy(received_.begin() + static_cast<std::ptrdiff_t>(used_), received_.begin() + static_cast<std::ptrdiff_t>(filled_), received_.begin());
      filled_ -= used_;
      used_ = 0;
    }
    if (filled_ > protocol_->unused_max()) return close();  // a protocol refuses such before it comes to this
    if (filled_ + read_chunk > received_.size()) received_.resize(filled_ + read_chunk);
  }
  std::size_t size = 0;
  const Moved moved = receive(std::span(received_).subspan(filled_), size, &ForeignSession::read);
  if (moved == Moved::ended) return say_goodbye();
  if (moved == Moved::nothing_yet) return;
  filled_ += size;
  digest();
}

/// Shows the protocol what has come.
void ForeignSession::digest() {
  SendBack send = [mailbox = loop_.mailbox, self = weak_from_this(), exchange = exchange_ + 1](Outgoing message) {
    mailbox->put({.to = self, .exchange = exchange, .message = std::move(message)});
  };
  const bool was_within = within_;
  const ForeignProtocol::Taken taken = protocol_->take(ByteView(received_).subspan(used_, filled_ - used_), send);
  wipe(std::span(received_).subspan(used_, taken.used));
  used_ += taken.used;
  if (used_ == filled_) used_ = filled_ = 0;
  within_ = taken.within;
  if (taken.next == ForeignProtocol::Next::working) {
    ++exchange_;
    within_ = false;
    return enter(State::working, loop_.limits.request_max);
  }
  if (within_ != was_within || state_ != State::reading) enter(State::reading, within_ ? loop_.limits.message_max : loop_.limits.idle_max);
  if (has_more_decrypted()) return read();
  wait(tcp::socket::wait_read, &ForeignSession::read);
}

void ForeignSession::answer(std::uint64_t exchange, Outgoing message) {
  if (state_ != State::working || exchange != exchange_) return;  // it came too late, and that was said
  send(std::move(message));
}

void ForeignSession::send(Outgoing message) {
  close_after_ = message.close_after || finishing_;
  const ByteView body = message.body.reveal();
  out_ = Secret(message.head.size() + body.size());  // one TLS record for both
  std::ranges::copy(body, std::ranges::copy(as_bytes(message.head), out_.writable().begin()).out);
  open_out_ = std::move(message.open_body);
  sent_ = 0;
  enter(State::writing, loop_.limits.message_max);
  write();
}

void ForeignSession::write() {
  const ByteView open = open_out_ ? ByteView(*open_out_) : ByteView();
  while (sent_ < out_.size() + open.size()) {
    std::size_t size = 0;
    const ByteView next = sent_ < out_.size() ? ByteView(out_.writable().subspan(sent_)) : open.subspan(sent_ - out_.size());
    const Moved moved = transmit(next, size, &ForeignSession::write);
    if (moved == Moved::ended) return close();
    if (moved == Moved::nothing_yet) return;
    sent_ += size;
  }
  out_ = Secret();
  open_out_.reset();
  if (close_after_) return say_goodbye();
  enter(State::reading, loop_.limits.idle_max);
  if (filled_ > used_) return digest();  // the next request was sent before this one was answered
  read();
}

/// close_notify; then what the peer still sends is read and dropped until it closes: a socket closed with unread octets would be reset, and the peer lose
/// the answer or the alert that says why.
void ForeignSession::say_goodbye() {
  if (state_ == State::closed) return;
  ERR_clear_error();
  if (state_ != State::farewell) {
    enter(State::farewell, farewell_max);
    if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) static_cast<void>(SSL_shutdown(ssl_.get()));
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  Bytes dropped(read_chunk);
  while (true) {
    error_code error;
    const std::size_t size = socket_.read_some(boost::asio::buffer(dropped), error);
    if (error == boost::asio::error::would_block) return wait(tcp::socket::wait_read, &ForeignSession::say_goodbye);
    if (error || size == 0) return close();
  }
}

void ForeignSession::look_at_clock(Clock::time_point now) {
  if (now < until_) return;
  switch (state_) {
    case State::reading:
    case State::working: {
      const bool within = state_ == State::reading;
      if (within && !within_) return say_goodbye();  // idle
      Outgoing last = protocol_->too_late(within);
      ++exchange_;  // the answer, if it still comes, is dropped
      last.close_after = true;
      return send(std::move(last));
    }
    case State::handshake:
      loop_.record({.point = "", .peer = address_, .reason = "handshake: took too long", .code = ErrorCode::deadline_exceeded});
      return close();
    case State::writing:
    case State::farewell:
      return close();
    case State::closed:
      return;
  }
}

void ForeignSession::finish() {
  finishing_ = true;
  if (state_ == State::handshake) return close();
  if (state_ == State::reading && !within_) say_goodbye();
}

void ForeignSession::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  error_code ignored;
  socket_.close(ignored);
  loop_.ended(shared_from_this());
}

}  // namespace qanat::net
