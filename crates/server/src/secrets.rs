//! The master key and what is derived from it: sealed access-key secrets and the operator's token.
//!
//! The master key is 32 random bytes in a file of the server's directory, made once. From it come, by
//! HMAC-SHA256 with a label each, the key that seals secrets (ChaCha20-Poly1305, random nonce, the access
//! key's id as associated data) and the operator's token, which is therefore stored nowhere. Secrets are
//! wiped from memory when they are dropped, and have no `Debug`.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    ChaCha20Poly1305, Key, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use sekimori_core::{ids::KeyId, world::Dialect};

use crate::{
    files,
    outside::{self, NoEntropy},
};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// A secret text, wiped when dropped.
pub type Secret = Zeroizing<String>;

/// What goes wrong with secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The store is there, the key is not.
    #[error(
        "`{}` is missing, but there is a store whose secrets it seals; restore the data directory from a backup",
        .0.display()
    )]
    Missing(PathBuf),
    /// The key file is not a key.
    #[error("`{}` does not hold {KEY_BYTES} bytes; restore the data directory from a backup", .0.display())]
    Damaged(PathBuf),
    /// Others can read the key file.
    #[error("`{}` can be read by others than its owner; run chmod 600 on it", .0.display())]
    Exposed(PathBuf),
    /// The key file cannot be read or written.
    #[error("cannot use `{}`: {source}; check its owner and permissions", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// The failure.
        source: io::Error,
    },
    /// A sealed secret does not open.
    #[error(
        "the secret of access key `{0}` does not open with this master key; restore the data directory from a backup"
    )]
    Sealed(KeyId),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] NoEntropy),
}

/// The keys that a server works with.
pub struct Secrets {
    sealing: Zeroizing<[u8; KEY_BYTES]>,
    token: Secret,
}

impl Secrets {
    /// Reads the master key of a directory, or makes it where there is no store yet.
    ///
    /// # Errors
    /// When the key is missing although it must be there, damaged, or readable by others.
    pub fn open(dir: &Path, is_store_expected: bool) -> Result<Self, SecretError> {
        let file = dir.join("master.key");
        let master = match fs::read(&file) {
            Ok(bytes) => checked(&file, Zeroizing::new(bytes))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_store_expected => {
                return Err(SecretError::Missing(file));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(&file)?,
            Err(source) => return Err(SecretError::File { file, source }),
        };
        Ok(Self::derive(&master))
    }

    fn derive(master: &[u8; KEY_BYTES]) -> Self {
        let token = derived(master, "sekimori operator token 1");
        let token = token.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { sealing: derived(master, "sekimori access key secrets 1"), token: Zeroizing::new(token) }
    }

    /// The operator's token.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether a text is the operator's token; takes the same time whatever the text is.
    #[must_use]
    pub fn is_token(&self, text: &str) -> bool {
        self.token.as_bytes().ct_eq(text.as_bytes()).into()
    }

    /// Encrypts the secret of an access key.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn seal(&self, key: &KeyId, secret: &str) -> Result<String, SecretError> {
        let nonce: [u8; NONCE_BYTES] = outside::random()?;
        let payload = Payload { msg: secret.as_bytes(), aad: key.as_str().as_bytes() };
        let sealed = self.cipher().encrypt(Nonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| SecretError::Sealed(key.clone()))?;
        Ok(STANDARD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Decrypts the secret of an access key.
    ///
    /// # Errors
    /// When it was sealed for another key, by another master key, or has been altered.
    pub fn unseal(&self, key: &KeyId, sealed: &str) -> Result<Secret, SecretError> {
        let wrong = || SecretError::Sealed(key.clone());
        let bytes = STANDARD.decode(sealed).map_err(|_| wrong())?;
        let (nonce, msg) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(wrong)?;
        let payload = Payload { msg, aad: key.as_str().as_bytes() };
        let plain = self.cipher().decrypt(Nonce::from_slice(nonce), payload).map_err(|_| wrong())?;
        String::from_utf8(plain).map(Zeroizing::new).map_err(|_| wrong())
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(Key::from_slice(self.sealing.as_slice()))
    }
}

/// Makes an access key in the shape of a dialect's cloud: the public half and the secret.
///
/// # Errors
/// When the system gives no randomness.
pub fn new_access_key(dialect: Dialect) -> Result<(KeyId, Secret), NoEntropy> {
    let (prefix, public, secret) = match dialect {
        Dialect::Ecs => ("LTAI5t", alphanumerics(18)?, alphanumerics(30)?),
        Dialect::Ec2 => ("AKIA", Zeroizing::new(alphanumerics(16)?.to_ascii_uppercase()), alphanumerics(40)?),
    };
    Ok((KeyId::from(format!("{prefix}{}", public.as_str())), secret))
}

/// Random letters and digits, each equally likely.
fn alphanumerics(count: usize) -> Result<Secret, NoEntropy> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = Zeroizing::new(String::with_capacity(count));
    while text.len() < count {
        let bytes = Zeroizing::new(outside::random::<64>()?);
        // 248 is the largest multiple of 62 in a byte: what is above would favour the first letters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        let letters = fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)).copied().map(char::from));
        let missing = count - text.len();
        text.extend(letters.take(missing));
    }
    Ok(text)
}

fn checked(file: &Path, bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<[u8; KEY_BYTES]>, SecretError> {
    let mode = fs::metadata(file).map_err(|source| SecretError::File { file: file.to_owned(), source })?;
    if mode.permissions().mode() & 0o077 != 0 {
        return Err(SecretError::Exposed(file.to_owned()));
    }
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
    key.map(Zeroizing::new).map_err(|_| SecretError::Damaged(file.to_owned()))
}

fn create(file: &Path) -> Result<Zeroizing<[u8; KEY_BYTES]>, SecretError> {
    let key = Zeroizing::new(outside::random()?);
    let written = files::write_durably(file, key.as_slice());
    written.map_err(|source| SecretError::File { file: file.to_owned(), source })?;
    Ok(key)
}

/// HMAC-SHA256 of a label under the master key.
fn derived(master: &[u8; KEY_BYTES], label: &str) -> Zeroizing<[u8; KEY_BYTES]> {
    // A key of exactly 32 bytes needs neither the length check nor the hashing of `new_from_slice`.
    let mut padded = Zeroizing::new([0_u8; 64]);
    for (to, from) in padded.iter_mut().zip(master) {
        *to = *from;
    }
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*padded).into());
    mac.update(label.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_key_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let one = Secrets::open(dir.path(), false).unwrap();
        let other = Secrets::open(dir.path(), true).unwrap();
        assert_eq!(one.token(), other.token());
        let mode = fs::metadata(dir.path().join("master.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_short_or_exposed_key_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("master.key");
        let refused = || Secrets::open(dir.path(), true).err().map(|error| error.to_string()).unwrap();
        assert!(refused().contains("master.key` is missing"), "{}", refused());
        assert!(!file.exists());
        files::write_durably(&file, b"short").unwrap();
        assert!(refused().contains("does not hold 32 bytes"), "{}", refused());
        files::write_durably(&file, &[7; 32]).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(refused().contains("chmod 600"), "{}", refused());
    }

    #[test]
    fn a_sealed_secret_opens_for_its_own_key_only() {
        let secrets = Secrets::derive(&[1; 32]);
        let (key, secret) = new_access_key(Dialect::Ecs).unwrap();
        let sealed = secrets.seal(&key, &secret).unwrap();
        assert!(!sealed.contains(secret.as_str()));
        assert_ne!(sealed, secrets.seal(&key, &secret).unwrap());
        assert_eq!(secrets.unseal(&key, &sealed).unwrap(), secret);
        assert!(secrets.unseal(&KeyId::from("other"), &sealed).is_err());
        assert!(Secrets::derive(&[2; 32]).unseal(&key, &sealed).is_err());
        for bad in ["", "AAAA", "not base64", &sealed[..sealed.len() - 4]] {
            assert!(secrets.unseal(&key, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_token_is_known_by_the_whole_of_it() {
        let secrets = Secrets::derive(&[1; 32]);
        let token = secrets.token().to_owned();
        assert_eq!(token.len(), 64);
        assert!(secrets.is_token(&token));
        for wrong in ["", &token[1..], &format!("{token}0"), Secrets::derive(&[2; 32]).token()] {
            assert!(!secrets.is_token(wrong), "{wrong}");
        }
    }

    #[test]
    fn derivation_is_hmac_sha256() {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&[9; 32]).unwrap();
        mac.update(b"label");
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(*derived(&[9; 32], "label"), expected);
    }

    #[test]
    fn access_keys_have_the_clouds_shape() {
        let (id, secret) = new_access_key(Dialect::Ecs).unwrap();
        assert_eq!(id.as_str().len(), 24);
        assert!(id.as_str().starts_with("LTAI5t"));
        assert_eq!(secret.len(), 30);
        assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(new_access_key(Dialect::Ecs).unwrap().0, id);
        let (id, secret) = new_access_key(Dialect::Ec2).unwrap();
        assert!(id.as_str().len() == 20 && id.as_str().starts_with("AKIA") && secret.len() == 40);
    }
}
