// Private to wire: the labels of profile v2's key schedule, with the zero octet that ends most of them. Each is used in one place.
#pragma once

#include "base/bytes.hpp"

namespace qanat::wire::labels {

struct Label {
  std::string_view text;
  operator ByteView() const noexcept { return as_bytes(text); }  // NOLINT(google-explicit-constructor): a label is its octets
};
template <std::size_t N>
consteval Label with_zero(const char (&text)[N]) {
  return {std::string_view(text, N)};  // N counts the terminator, which is the zero octet
}
template <std::size_t N>
consteval Label without_zero(const char (&text)[N]) {
  return {std::string_view(text, N - 1)};
}

// Last mile (steps 1–2, 4, 11).
inline constexpr Label hkem = with_zero("QFCI-v2 hkem");
inline constexpr Label hkem_out = with_zero("QFCI-v2 hkem out");
inline constexpr Label hkem_eph = with_zero("QFCI-v2 hkem eph");
inline constexpr Label hkem_inj = with_zero("QFCI-v2 hkem inj");
inline constexpr Label inj_req = without_zero("QFCI-v2 inj req");
inline constexpr Label sym_req = without_zero("QFCI-v2 sym req");
inline constexpr Label charge_req = without_zero("QFCI-v2 charge req");
inline constexpr Label charge_inj = with_zero("QFCI-v2 charge inj");
inline constexpr Label charge_key = with_zero("QFCI-v2 charge key");
inline constexpr Label charge_iv = with_zero("QFCI-v2 charge iv");
inline constexpr Label charge_next = with_zero("QFCI-v2 charge next");
inline constexpr Label context_charge = with_zero("ChargeDeliver");
inline constexpr Label context_enrol = with_zero("EnrolDeliver");
inline constexpr Label context_deliver = with_zero("KeyDeliver");
inline constexpr Label enrol_mac = without_zero("QFCI-v2 enrol mac");
inline constexpr Label enrol_key = with_zero("QFCI-v2 enrol key");
inline constexpr Label enrol_iv = with_zero("QFCI-v2 enrol iv");
inline constexpr Label step11_key = with_zero("QFCI-v2 step11 key");
inline constexpr Label step11_iv = with_zero("QFCI-v2 step11 iv");

// Between the KMSs (step 9).
inline constexpr Label wk = with_zero("QFCI-v2 wk");
inline constexpr Label kc = with_zero("QFCI-v2 kc");

// Between the KMSs, ahead of demand: keys for SAEs.
inline constexpr Label supply_batch = with_zero("QFCI-v2 supply batch");
inline constexpr Label supply_key = with_zero("QFCI-v2 supply key");
inline constexpr Label supply_kc = with_zero("QFCI-v2 supply kc");
inline constexpr Label sae_key = with_zero("QFCI-v2 sae key");

// Between the terminals (step 12).
inline constexpr Label ax1 = without_zero("QFCI-v2 ax1");
inline constexpr Label derived = with_zero("QFCI-v2 derived");
inline constexpr Label hs_r_key = with_zero("QFCI-v2 hs r key");
inline constexpr Label hs_r_iv = with_zero("QFCI-v2 hs r iv");
inline constexpr Label hs_i_key = with_zero("QFCI-v2 hs i key");
inline constexpr Label hs_i_iv = with_zero("QFCI-v2 hs i iv");
inline constexpr Label media_i_key = with_zero("QFCI-v2 media i key");
inline constexpr Label media_i_salt = with_zero("QFCI-v2 media i salt");
inline constexpr Label media_r_key = with_zero("QFCI-v2 media r key");
inline constexpr Label media_r_salt = with_zero("QFCI-v2 media r salt");
inline constexpr Label escrow_i_key = with_zero("QFCI-v2 escrow i key");
inline constexpr Label escrow_i_salt = with_zero("QFCI-v2 escrow i salt");
inline constexpr Label escrow_r_key = with_zero("QFCI-v2 escrow r key");
inline constexpr Label escrow_r_salt = with_zero("QFCI-v2 escrow r salt");
inline constexpr Label sas = with_zero("QFCI-v2 sas");

// For gateways, which know nothing of these protocols (Dx-1).
inline constexpr Label gateway_ppk = with_zero("QFCI-v2 ppk");
inline constexpr Label gateway_wireguard = with_zero("QFCI-v2 wireguard psk");

// Group calls (docs/protocol/group.md).
inline constexpr Label group_sid_wk = with_zero("QFCI-v2 group sid wk");
inline constexpr Label group_epoch = with_zero("QFCI-v2 group epoch");
inline constexpr Label group_roster = with_zero("QFCI-v2 group roster");
inline constexpr Label group_mix = with_zero("QFCI-v2 group mix");
inline constexpr Label group_draw = with_zero("QFCI-v2 group draw");
inline constexpr Label group_wk = with_zero("QFCI-v2 group wk");
inline constexpr Label group_carry_key = with_zero("QFCI-v2 group carry key");
inline constexpr Label group_carry_iv = with_zero("QFCI-v2 group carry iv");
inline constexpr Label group_media_key = with_zero("QFCI-v2 group media key");
inline constexpr Label group_media_salt = with_zero("QFCI-v2 group media salt");

// Names.
inline constexpr Label fp = with_zero("QFCI-v2 fp");
inline constexpr Label fp_expand = without_zero("QFCI-v2 fp");
inline constexpr Label kid = with_zero("QFCI-v2 kid");
inline constexpr Label sid_call = without_zero("QFCI-v2 sid call");

}  // namespace qanat::wire::labels
