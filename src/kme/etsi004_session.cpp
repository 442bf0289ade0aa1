// ETSI GS QKD 004 on one connection: who may ask, and for what. Requests of a connection are answered in their order, one at a time.
#include "kme/etsi004.hpp"

namespace qanat::kme::etsi004 {
namespace {

class Protocol final : public net::ForeignProtocol {
 public:
  Protocol(StreamProvider& provider, const SaeRegistry& registry, std::shared_ptr<const net::ForeignPeer> peer)
      : provider_(provider), registry_(registry), peer_(std::move(peer)) {}

  Taken take(ByteView received, net::SendBack& send) override;
  net::Outgoing too_late(bool within) override;
  [[nodiscard]] std::size_t unused_max() const noexcept override { return header_size + open_size_max; }

 private:
  [[nodiscard]] Caller caller() const;
  void answer(Service service, ByteView payload, net::SendBack send);
  void open(const OpenRequest& request, net::SendBack send);
  /// What is no message of this binding has no answer in it: on record, then the connection ends.
  void hang_up(std::string why, net::SendBack send);
  void refuse(std::string_view action, std::string why, net::Outgoing answer, net::SendBack send);

  StreamProvider& provider_;
  const SaeRegistry& registry_;
  std::shared_ptr<const net::ForeignPeer> peer_;  // shared with the connection
  Service now_ = Service::close_request;          // what is being worked on
};

net::Outgoing failure(Service service, StreamStatus status) {
  if (service == Service::open_request) return render(StreamOpened{.status = status, .qos = {}, .id = {}});
  if (service == Service::get_request) return render(StreamChunk{.status = status});
  return render_closed(status);
}

net::ForeignProtocol::Taken Protocol::take(ByteView received, net::SendBack& send) {
  if (received.size() < header_size) return {.used = 0, .next = Next::more, .within = !received.empty()};
  const auto header = read_header(received.first(header_size));
  if (!header) {
    hang_up(header.error().message, std::move(send));
    return {.used = received.size(), .next = Next::working, .within = false};
  }
  const std::size_t whole = header_size + header->payload;
  if (received.size() < whole) return {.used = 0, .next = Next::more, .within = true};
  now_ = header->service;
  answer(header->service, received.subspan(header_size, header->payload), std::move(send));
  return {.used = whole, .next = Next::working, .within = false};
}

net::Outgoing Protocol::too_late(bool within) {
  if (within) return {.head = "", .body = {}, .close_after = true};
  return failure(now_, StreamStatus::timeout);
}

Caller Protocol::caller() const {
  const auto sae = registry_.identify(peer_->names);
  return {.sae = sae.value_or(SaeId()), .address = peer_->address, .group = peer_->group, .quantum_safe = peer_->quantum_safe, .request_id = ""};
}

void Protocol::answer(Service service, ByteView payload, net::SendBack send) {
  Caller who = caller();
  if (who.sae.empty()) return refuse("etsi004.connection", "no SAE of this KME", failure(service, StreamStatus::no_connection), std::move(send));
  if (service == Service::open_request) {
    const auto request = read_open(payload);
    return request ? open(*request, std::move(send)) : hang_up(request.error().message, std::move(send));
  }
  if (service == Service::get_request) {
    const auto request = read_get(payload);
    if (!request) return hang_up(request.error().message, std::move(send));
    return provider_.get({.caller = std::move(who), .id = request->id, .index = request->index, .metadata_max = request->metadata_max},
                         [send = std::move(send)](StreamChunk chunk) mutable { send(render(std::move(chunk))); });
  }
  const auto id = read_close(payload);
  if (!id) return hang_up(id.error().message, std::move(send));
  provider_.close(std::move(who), *id, [send = std::move(send)](StreamStatus status) mutable { send(render_closed(status)); });
}

void Protocol::open(const OpenRequest& request, net::SendBack send) {
  Caller who = caller();
  const auto source = named_by(registry_, request.source);
  const auto destination = named_by(registry_, request.destination);
  const auto no = [&](std::string why) {
    StreamOpened answer{.status = StreamStatus::no_connection, .qos = request.qos, .id = request.id};
    refuse("etsi004.open_connect", std::move(why), render(answer), std::move(send));
  };
  if (source != who.sae) return no("the source is not the SAE of the certificate");
  if (!destination) return no("the destination is not known to this KME");
  if (*destination == who.sae) return no("source and destination are the same SAE");
  provider_.open({.caller = std::move(who), .destination = *destination, .qos = request.qos, .id = request.id},
                 [send = std::move(send)](const StreamOpened& opened) mutable { send(render(opened)); });
}

void Protocol::hang_up(std::string why, net::SendBack send) {
  refuse("etsi004.connection", std::move(why), {.head = "", .body = {}, .close_after = true}, std::move(send));
}

void Protocol::refuse(std::string_view action, std::string why, net::Outgoing answer, net::SendBack send) {
  Caller who = caller();
  if (who.sae.empty()) who.sae = SaeId(peer_->names.empty() ? peer_->address : peer_->names.front());
  provider_.record_refusal(who, action, std::move(why), [send = std::move(send), answer = std::move(answer)]() mutable { send(std::move(answer)); });
}

}  // namespace

net::ForeignProtocolFactory make_protocol(StreamProvider& provider, const SaeRegistry& registry) {
  return [&provider, &registry](std::shared_ptr<const net::ForeignPeer> peer) { return std::make_unique<Protocol>(provider, registry, std::move(peer)); };
}

}  // namespace qanat::kme::etsi004
