// ACME clients that others wrote, as Debian packages them, each in a folder of its own and with nothing but its own options and environment.
#pragma once

#include "program.hpp"

namespace qanat::test {

/// What a client is told about the server and its account.
struct AcmeAccess {
  std::string directory;
  std::filesystem::path roots;  // PEM
  std::string reference;
  std::string secret;  // base64url
};

class AcmePeer {
 public:
  AcmePeer(std::filesystem::path home, AcmeAccess access) : access_(std::move(access)), home_(std::move(home)) { std::filesystem::create_directories(home_); }
  virtual ~AcmePeer() = default;
  AcmePeer(const AcmePeer&) = delete;
  AcmePeer& operator=(const AcmePeer&) = delete;

  struct Files {
    std::filesystem::path certificate;  // the leaf first
    std::filesystem::path chain;        // has its issuer; perhaps the same file
  };
  /// Makes an account if there is none, then a key, and gets a certificate for these names.
  virtual Outcome obtain(const std::vector<std::string>& names) = 0;
  /// The same for a request (PEM) that was made elsewhere.
  virtual Outcome obtain_for(const std::filesystem::path& request) = 0;
  virtual Outcome renew(const std::vector<std::string>& names) = 0;
  virtual Outcome revoke(const std::filesystem::path& certificate, const std::string& name) = 0;
  [[nodiscard]] virtual Files files(const std::string& first_name) const = 0;
  [[nodiscard]] virtual Files files_for(const std::filesystem::path& request, const std::string& first_name) const = 0;
  /// Of the keys that it makes, as the openssl program calls it.
  [[nodiscard]] virtual std::string key_algorithm() const { return "id-ecPublicKey"; }
  /// What it says of its last failure beside its output.
  [[nodiscard]] virtual std::string log() const { return ""; }

 protected:
  Outcome run(const std::string& line) const { return run_line("cd " + home_.string() + " && { " + line + "; } </dev/null", folder_); }
  static std::string listed(const std::vector<std::string>& names, const std::string& option) {
    std::string out;
    for (const std::string& name : names) out += ' ' + option + name;
    return out;
  }
  const AcmeAccess access_;
  const std::filesystem::path home_;

 private:
  TemporaryDirectory folder_;
};

class Certbot final : public AcmePeer {
 public:
  using AcmePeer::AcmePeer;
  Outcome obtain(const std::vector<std::string>& names) override { return certbot("certonly --standalone" + eab() + listed(names, "-d ")); }
  Outcome obtain_for(const std::filesystem::path& request) override {
    for (const char* file : {"csr.pem", "csr-chain.pem", "csr-full.pem"}) std::filesystem::remove(home_ / file);  // it writes over nothing
    return certbot("certonly --standalone" + eab() + " --csr " + request.string() +
                   " --cert-path csr.pem --chain-path csr-chain.pem --fullchain-path csr-full.pem");
  }
  Outcome renew(const std::vector<std::string>& names) override {
    return certbot("renew --force-renewal --no-random-sleep-on-renew --cert-name " + names.front());
  }
  Outcome revoke(const std::filesystem::path& certificate, const std::string&) override {
    return certbot("revoke --no-delete-after-revoke --reason superseded --cert-path " + certificate.string());
  }
  [[nodiscard]] Files files(const std::string& name) const override {
    return {.certificate = home_ / "config/live" / name / "cert.pem", .chain = home_ / "config/live" / name / "chain.pem"};
  }
  [[nodiscard]] Files files_for(const std::filesystem::path&, const std::string&) const override {
    return {.certificate = home_ / "csr.pem", .chain = home_ / "csr-chain.pem"};
  }
  [[nodiscard]] std::string log() const override {
    std::ifstream in(home_ / "logs/letsencrypt.log");
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  [[nodiscard]] std::string eab() const {
    return " --register-unsafely-without-email --eab-kid " + access_.reference + " --eab-hmac-key=" + access_.secret;  // '=': a secret may begin with '-'
  }
  [[nodiscard]] Outcome certbot(const std::string& arguments) const {
    return run("REQUESTS_CA_BUNDLE=" + access_.roots.string() +
               " certbot --config-dir config --work-dir work --logs-dir logs -n --agree-tos --no-eff-email --server " + access_.directory + ' ' + arguments +
               " 2>&1");
  }
};

class Lego final : public AcmePeer {
 public:
  using AcmePeer::AcmePeer;
  Outcome obtain(const std::vector<std::string>& names) override { return lego(listed(names, "--domains ") + " run"); }
  Outcome obtain_for(const std::filesystem::path& request) override { return lego(" --csr " + request.string() + " run"); }
  Outcome renew(const std::vector<std::string>& names) override { return lego(listed(names, "--domains ") + " renew --days 1000 --no-random-sleep"); }
  Outcome revoke(const std::filesystem::path&, const std::string& name) override { return lego(" --domains " + name + " revoke --reason 4 --keep"); }
  [[nodiscard]] Files files(const std::string& name) const override {
    return {.certificate = home_ / "certificates" / (name + ".crt"), .chain = home_ / "certificates" / (name + ".issuer.crt")};
  }
  [[nodiscard]] Files files_for(const std::filesystem::path&, const std::string& name) const override { return files(name); }

 private:
  [[nodiscard]] Outcome lego(const std::string& arguments) const {
    return run("LEGO_CA_CERTIFICATES=" + access_.roots.string() + " lego --accept-tos --email ops@peer.example --path . --http --server " + access_.directory +
               " --eab --kid " + access_.reference + " --hmac=" + access_.secret + arguments + " 2>&1");
  }
};

class Dehydrated final : public AcmePeer {
 public:
  Dehydrated(std::filesystem::path home, AcmeAccess access) : AcmePeer(std::move(home), std::move(access)) {
    // Version 0.7.0 takes what `req -verify` prints on standard output for names of the request: OpenSSL 3.5 prints there what 3.0 wrote to standard error.
    const std::filesystem::path openssl = home_ / "openssl";
    std::ofstream(openssl) << "#!/bin/sh\nexport OPENSSL_CONF=" << QANAT_SOURCE_DIR << "/.deps/openssl/ssl/openssl.cnf\n"
                           << "if [ \"$1 $2\" = 'req -verify' ]; then exec " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl \"$@\" >&2; fi\n"
                           << "exec " QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl \"$@\"\n";
    std::filesystem::permissions(openssl, std::filesystem::perms::owner_all);
    std::filesystem::create_directories(home_ / "www");
    std::ofstream(home_ / "config") << "CA=" << access_.directory << "\nBASEDIR=" << home_.string() << "\nWELLKNOWN=" << (home_ / "www").string()
                                    << "\nCURL_OPTS='--cacert " << access_.roots.string() << "'\nEAB_KID='" << access_.reference << "'\nEAB_HMAC_KEY='"
                                    << access_.secret << "'\nOPENSSL=" << openssl.string() << "\nOCSP_FETCH=no\nKEY_ALGO=rsa\nKEYSIZE=2048\n";
  }
  Outcome obtain(const std::vector<std::string>& names) override {
    const Outcome account = dehydrated("--register --accept-terms");
    return account.code != 0 ? account : dehydrated("-c" + listed(names, "-d "));
  }
  Outcome obtain_for(const std::filesystem::path& request) override {
    const Outcome account = dehydrated("--register --accept-terms");
    return account.code != 0 ? account : dehydrated("--signcsr " + request.string() + " --full-chain", " > csr.pem");
  }
  Outcome renew(const std::vector<std::string>& names) override { return dehydrated("-c -x" + listed(names, "-d ")); }
  Outcome revoke(const std::filesystem::path& certificate, const std::string&) override { return dehydrated("--revoke " + certificate.string()); }
  [[nodiscard]] std::string key_algorithm() const override { return "rsaEncryption"; }
  [[nodiscard]] Files files(const std::string& name) const override {
    return {.certificate = home_ / "certs" / name / "cert.pem", .chain = home_ / "certs" / name / "chain.pem"};
  }
  [[nodiscard]] Files files_for(const std::filesystem::path&, const std::string&) const override {
    return {.certificate = home_ / "csr.pem", .chain = home_ / "csr.pem"};
  }

 private:
  [[nodiscard]] Outcome dehydrated(const std::string& arguments, const std::string& to = " 2>&1") const {
    return run("dehydrated -f config " + arguments + to);
  }
};

class Uacme final : public AcmePeer {
 public:
  Uacme(std::filesystem::path home, AcmeAccess access) : AcmePeer(std::move(home), std::move(access)) {
    std::filesystem::create_directories(home_ / "roots");
    std::filesystem::copy_file(access_.roots, home_ / "roots/root.pem");
  }
  Outcome obtain(const std::vector<std::string>& names) override {
    if (!std::filesystem::exists(home_ / "config/private/key.pem")) {
      const Outcome account = uacme("-y -e " + access_.reference + ":" + access_.secret + " new ops@peer.example");
      if (account.code != 0) return account;
    }
    return uacme("-t EC issue" + listed(names, ""));
  }
  Outcome obtain_for(const std::filesystem::path& request) override { return uacme("-f -o issue " + request.string()); }
  Outcome renew(const std::vector<std::string>& names) override { return uacme("-f -o -t EC issue" + listed(names, "")); }
  Outcome revoke(const std::filesystem::path& certificate, const std::string&) override { return uacme("-r 4 revoke " + certificate.string()); }
  [[nodiscard]] Files files(const std::string& name) const override {
    return {.certificate = home_ / "config" / name / "cert.pem", .chain = home_ / "config" / name / "cert.pem"};
  }
  [[nodiscard]] Files files_for(const std::filesystem::path& request, const std::string&) const override {
    const std::filesystem::path made = request.parent_path() / (request.stem().string() + "-cert.pem");
    return {.certificate = made, .chain = made};
  }

 private:
  /// Its TLS library has the system's folder of roots alone (preload/roots_folder.cpp).
  [[nodiscard]] Outcome uacme(const std::string& arguments) const {
    return run("LD_PRELOAD=" QANAT_ROOTS_FOLDER " QANAT_TEST_ROOTS=" + (home_ / "roots").string() + " uacme -v -c config -a " + access_.directory + ' ' +
               arguments + " 2>&1");
  }
};

}  // namespace qanat::test
