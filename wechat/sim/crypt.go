package sim

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// padTo is the block to which messages are padded: 32 bytes, not the cipher's 16.
const padTo = 32

// signature is the platform's: SHA-1 of the sorted parts run together.
func signature(parts ...string) string {
	slices.Sort(parts)
	sum := sha1.Sum([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// aesKey decodes the account's EncodingAESKey.
func aesKey(encoded string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(encoded + "=")
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("EncodingAESKey is not 43 characters of base64")
	}
	return key, nil
}

// encrypt seals a message as the safe mode has it: 16 random bytes, the
// length, the message and the appid, by AES-256-CBC.
func encrypt(key []byte, random string, message []byte, appID string) (string, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", err
	}
	plain := bytes.NewBufferString(random)
	_ = binary.Write(plain, binary.BigEndian, uint32(len(message))) // into memory
	plain.Write(message)
	plain.WriteString(appID)
	pad := padTo - plain.Len()%padTo
	plain.Write(bytes.Repeat([]byte{byte(pad)}, pad))
	out := plain.Bytes()
	cipher.NewCBCEncrypter(block, key[:aes.BlockSize]).CryptBlocks(out, out)
	return base64.StdEncoding.EncodeToString(out), nil
}
