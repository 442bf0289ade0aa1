// The C interface of an intelligent key device, GM/T 0016 (SKF): of its functions those that the SKF device calls, by the standard's names and types. A maker's
// library is loaded at run time (skf_module.hpp), so nothing here is linked. Lengths are in octets; a length that a function gives back says on the way in how
// much room there is. ULONG has 32 bits, as the standard's table of types says (some makers' headers for Linux make it `unsigned long`: their libraries do not
// fit). Private to crypto; the tests' library (tests/skf) is compiled against it.
#pragma once

#include <cstdint>

extern "C" {

using SKF_ULONG = std::uint32_t;
using SKF_BOOL = std::int32_t;
using SKF_HANDLE = void*;

#pragma pack(push, 1)
/// Numbers are big-endian and stand at the end of their 64 octets.
struct ECCPUBLICKEYBLOB {
  SKF_ULONG BitLen;
  unsigned char XCoordinate[64];
  unsigned char YCoordinate[64];
};
/// An SM2 ciphertext (GM/T 0003.4): C1 is the point, C3 the hash, C2 the cipher, which goes on behind the structure.
struct ECCCIPHERBLOB {
  unsigned char XCoordinate[64];
  unsigned char YCoordinate[64];
  unsigned char HASH[32];
  SKF_ULONG CipherLen;
  unsigned char Cipher[1];
};
/// An encryption pair on its way into a container: the private key under a symmetric key, and that encrypted to the container's signing key.
struct ENVELOPEDKEYBLOB {
  SKF_ULONG Version;      // 1
  SKF_ULONG ulSymmAlgID;  // ECB
  SKF_ULONG ulBits;       // of the encryption key
  unsigned char cbEncryptedPriKey[64];
  ECCPUBLICKEYBLOB PubKey;
  ECCCIPHERBLOB ECCCipherBlob;
};
struct BLOCKCIPHERPARAM {
  unsigned char IV[32];
  SKF_ULONG IVLen;
  SKF_ULONG PaddingType;  // 0: none
  SKF_ULONG FeedBitLen;
};
struct SKF_VERSION {
  unsigned char major;
  unsigned char minor;
};
struct DEVINFO {
  SKF_VERSION Version;
  char Manufacturer[64];
  char Issuer[64];
  char Label[32];
  char SerialNumber[32];
  SKF_VERSION HWVersion;
  SKF_VERSION FirmwareVersion;
  SKF_ULONG AlgSymCap;
  SKF_ULONG AlgAsymCap;
  SKF_ULONG AlgHashCap;
  SKF_ULONG DevAuthAlgId;
  SKF_ULONG TotalSpace;
  SKF_ULONG FreeSpace;
  SKF_ULONG MaxECCBufferSize;
  SKF_ULONG MaxBufferSize;
  unsigned char Reserved[64];
};
#pragma pack(pop)

/// The names of the devices, each with a zero octet behind it, and one more at the end. `present`: those that are plugged in.
SKF_ULONG SKF_EnumDev(SKF_BOOL present, char* names, SKF_ULONG* size);
SKF_ULONG SKF_ConnectDev(char* name, SKF_HANDLE* device);
SKF_ULONG SKF_DisConnectDev(SKF_HANDLE device);
SKF_ULONG SKF_GetDevInfo(SKF_HANDLE device, DEVINFO* info);
/// The device's last 8 random octets and 8 zero octets, encrypted under the device authentication key.
SKF_ULONG SKF_DevAuth(SKF_HANDLE device, unsigned char* data, SKF_ULONG length);
SKF_ULONG SKF_OpenApplication(SKF_HANDLE device, char* name, SKF_HANDLE* application);
SKF_ULONG SKF_CloseApplication(SKF_HANDLE application);
SKF_ULONG SKF_VerifyPIN(SKF_HANDLE application, SKF_ULONG pin_type, char* pin, SKF_ULONG* tries_left);
SKF_ULONG SKF_CreateContainer(SKF_HANDLE application, char* name, SKF_HANDLE* container);
SKF_ULONG SKF_OpenContainer(SKF_HANDLE application, char* name, SKF_HANDLE* container);
SKF_ULONG SKF_CloseContainer(SKF_HANDLE container);
/// The signing pair: made in the container.
SKF_ULONG SKF_GenECCKeyPair(SKF_HANDLE container, SKF_ULONG algorithm, ECCPUBLICKEYBLOB* key);
/// The encryption pair: comes from outside.
SKF_ULONG SKF_ImportECCKeyPair(SKF_HANDLE container, ENVELOPEDKEYBLOB* pair);
SKF_ULONG SKF_ExportPublicKey(SKF_HANDLE container, SKF_BOOL signing, unsigned char* key, SKF_ULONG* length);
/// Makes a session key in the device: its handle, and the key encrypted to this public key.
SKF_ULONG SKF_ECCExportSessionKey(SKF_HANDLE container, SKF_ULONG algorithm, ECCPUBLICKEYBLOB* to, ECCCIPHERBLOB* key, SKF_HANDLE* key_handle);
/// `key` is an ECCCIPHERBLOB that the container's encryption key opens.
SKF_ULONG SKF_ImportSessionKey(SKF_HANDLE container, SKF_ULONG algorithm, unsigned char* key, SKF_ULONG length, SKF_HANDLE* key_handle);
SKF_ULONG SKF_EncryptInit(SKF_HANDLE key, BLOCKCIPHERPARAM parameters);
SKF_ULONG SKF_Encrypt(SKF_HANDLE key, unsigned char* data, SKF_ULONG length, unsigned char* encrypted, SKF_ULONG* encrypted_length);
SKF_ULONG SKF_DecryptInit(SKF_HANDLE key, BLOCKCIPHERPARAM parameters);
SKF_ULONG SKF_Decrypt(SKF_HANDLE key, unsigned char* encrypted, SKF_ULONG length, unsigned char* data, SKF_ULONG* data_length);
/// CBC-MAC: the last block.
SKF_ULONG SKF_MacInit(SKF_HANDLE key, BLOCKCIPHERPARAM* parameters, SKF_HANDLE* mac);
SKF_ULONG SKF_Mac(SKF_HANDLE mac, unsigned char* data, SKF_ULONG length, unsigned char* out, SKF_ULONG* out_length);
SKF_ULONG SKF_GenRandom(SKF_HANDLE device, unsigned char* random, SKF_ULONG length);
/// Of a key or a MAC.
SKF_ULONG SKF_CloseHandle(SKF_HANDLE handle);

}  // extern "C"

static_assert(sizeof(ECCPUBLICKEYBLOB) == 132 && sizeof(ECCCIPHERBLOB) == 165 && sizeof(ENVELOPEDKEYBLOB) == 373 && sizeof(BLOCKCIPHERPARAM) == 44);
static_assert(sizeof(DEVINFO) == 294);

namespace qanat::crypto {

/// Algorithm identifiers of GM/T 0006.
inline constexpr SKF_ULONG skf_sm4_ecb = 0x00000401;
inline constexpr SKF_ULONG skf_sm4_cbc = 0x00000402;
inline constexpr SKF_ULONG skf_sm2_sign = 0x00020100;

inline constexpr SKF_ULONG skf_user_pin = 1;
inline constexpr SKF_ULONG skf_ecc_bits = 256;

/// Return values, GM/T 0016 annex; makers have further ones.
inline constexpr SKF_ULONG sar_ok = 0;
inline constexpr SKF_ULONG sar_fail = 0x0A000001;
inline constexpr SKF_ULONG sar_unknown = 0x0A000002;
inline constexpr SKF_ULONG sar_not_supported = 0x0A000003;
inline constexpr SKF_ULONG sar_invalid_handle = 0x0A000005;
inline constexpr SKF_ULONG sar_invalid_parameter = 0x0A000006;
inline constexpr SKF_ULONG sar_name_length = 0x0A000009;
inline constexpr SKF_ULONG sar_key_usage = 0x0A00000A;
inline constexpr SKF_ULONG sar_not_initialised = 0x0A00000C;
inline constexpr SKF_ULONG sar_object = 0x0A00000D;
inline constexpr SKF_ULONG sar_memory = 0x0A00000E;
inline constexpr SKF_ULONG sar_timeout = 0x0A00000F;
inline constexpr SKF_ULONG sar_data_length = 0x0A000010;
inline constexpr SKF_ULONG sar_data = 0x0A000011;
inline constexpr SKF_ULONG sar_random = 0x0A000012;
inline constexpr SKF_ULONG sar_no_such_key = 0x0A00001B;
inline constexpr SKF_ULONG sar_decrypt_padding = 0x0A00001E;
inline constexpr SKF_ULONG sar_mac_length = 0x0A00001F;
inline constexpr SKF_ULONG sar_buffer_too_small = 0x0A000020;
inline constexpr SKF_ULONG sar_device_removed = 0x0A000023;
inline constexpr SKF_ULONG sar_pin_incorrect = 0x0A000024;
inline constexpr SKF_ULONG sar_pin_locked = 0x0A000025;
inline constexpr SKF_ULONG sar_pin_invalid = 0x0A000026;
inline constexpr SKF_ULONG sar_pin_length = 0x0A000027;
inline constexpr SKF_ULONG sar_already_logged_in = 0x0A000028;
inline constexpr SKF_ULONG sar_pin_not_initialised = 0x0A000029;
inline constexpr SKF_ULONG sar_not_logged_in = 0x0A00002D;
inline constexpr SKF_ULONG sar_no_such_application = 0x0A00002E;
inline constexpr SKF_ULONG sar_file_exists = 0x0A00002F;
inline constexpr SKF_ULONG sar_no_room = 0x0A000030;
inline constexpr SKF_ULONG sar_no_such_file = 0x0A000031;

}  // namespace qanat::crypto
