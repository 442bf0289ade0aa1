// The C interface of a crypto device, GM/T 0018: of its functions those that the SDF device calls, by the standard's names and types. A maker's library is
// loaded at run time (sdf_module.hpp), so nothing here is linked. Lengths are in octets; a length that a function gives back says on the way in how much room
// there is. Private to crypto; the tests' library (tests/sdf) is compiled against it.
#pragma once

extern "C" {

int SDF_OpenDevice(void** device);
int SDF_CloseDevice(void* device);
int SDF_OpenSession(void* device, void** session);
int SDF_CloseSession(void* session);
int SDF_GenerateRandom(void* session, unsigned int length, unsigned char* random);
/// A session key of so many bits: its handle, and the key encrypted under the device's key-encryption key (KEK) of this index. No IV is named: it is zero.
int SDF_GenerateKeyWithKEK(void* session, unsigned int key_bits, unsigned int algorithm, unsigned int kek_index, unsigned char* key, unsigned int* key_length,
                           void** key_handle);
int SDF_ImportKeyWithKEK(void* session, unsigned int algorithm, unsigned int kek_index, unsigned char* key, unsigned int key_length, void** key_handle);
int SDF_DestroyKey(void* session, void* key_handle);
/// Nothing is padded: whole blocks. `iv` goes in, and the last block of the ciphertext comes back in it.
int SDF_Encrypt(void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, unsigned char* data, unsigned int data_length,
                unsigned char* encrypted, unsigned int* encrypted_length);
int SDF_Decrypt(void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, unsigned char* encrypted, unsigned int encrypted_length,
                unsigned char* data, unsigned int* data_length);
/// CBC-MAC (GB/T 15852.1): the last block. `iv` as above.
int SDF_CalculateMAC(void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, unsigned char* data, unsigned int data_length,
                     unsigned char* mac, unsigned int* mac_length);

}  // extern "C"

namespace qanat::crypto {

/// Algorithm identifiers of GM/T 0006.
inline constexpr unsigned int sgd_sm4_ecb = 0x00000401;
inline constexpr unsigned int sgd_sm4_cbc = 0x00000402;
inline constexpr unsigned int sgd_sm4_mac = 0x00000410;

/// Return values, GM/T 0018 appendix A; makers have further ones.
inline constexpr int sdr_ok = 0;
inline constexpr int sdr_unknown = 0x01000001;
inline constexpr int sdr_not_supported = 0x01000002;
inline constexpr int sdr_communication = 0x01000003;
inline constexpr int sdr_hardware = 0x01000004;
inline constexpr int sdr_open_device = 0x01000005;
inline constexpr int sdr_open_session = 0x01000006;
inline constexpr int sdr_permission = 0x01000007;
inline constexpr int sdr_no_such_key = 0x01000008;
inline constexpr int sdr_algorithm = 0x01000009;
inline constexpr int sdr_mode = 0x0100000A;
inline constexpr int sdr_symmetric_operation = 0x0100000F;
inline constexpr int sdr_key_type = 0x01000014;
inline constexpr int sdr_key = 0x01000015;
inline constexpr int sdr_no_buffer = 0x0100001C;
inline constexpr int sdr_argument_in = 0x0100001D;
inline constexpr int sdr_argument_out = 0x0100001E;

}  // namespace qanat::crypto
