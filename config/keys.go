package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Keys are the secrets an installation is made with. While there is data,
// Index and Code never change, and no Seal key that sealed any of it goes.
type Keys struct {
	Seal  SealKeys
	Index Key // blind index of phone numbers
	Code  Key // check-in codes and members' own codes
}

// Keys are those of the environment or, where it gives none, the development
// keys in DataDir.
func (s Settings) Keys() (Keys, error) {
	if s.SealKeys != nil {
		return Keys{Seal: s.SealKeys, Index: s.IndexKey, Code: s.CodeKey}, nil
	}
	return DevelopmentKeys(s.DataDir)
}

// keyFile is the development keys as dir/keys.json has them.
type keyFile struct {
	Seal  string `json:"seal_keys"`
	Index string `json:"index_key"`
	Code  string `json:"code_key"`
}

// DevelopmentKeys are the keys in dir/keys.json, which only its owner can
// read. Where there is no such file they are generated, once even if several
// processes start together.
func DevelopmentKeys(dir string) (Keys, error) {
	path := filepath.Join(dir, "keys.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := generateKeys(dir, path); err != nil {
			return Keys{}, fmt.Errorf("generate development keys: %w", err)
		}
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return Keys{}, fmt.Errorf("read development keys: %w", err)
	}
	var file keyFile
	var keys Keys
	if json.Unmarshal(raw, &file) != nil || keys.Seal.UnmarshalText([]byte(file.Seal)) != nil ||
		keys.Index.UnmarshalText([]byte(file.Index)) != nil || keys.Code.UnmarshalText([]byte(file.Code)) != nil {
		return Keys{}, fmt.Errorf("%s 不是本程序生成的密钥文件；其中的密钥保护着这个目录里的数据，请从备份恢复", path)
	}
	return keys, nil
}

// generateKeys puts a whole file in place or leaves the one that is there.
func generateKeys(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(keyFile{Seal: "dev:" + newKey(), Index: newKey(), Code: newKey()}, "", "  ")
	if err != nil {
		return err
	}
	draft, err := os.CreateTemp(dir, "keys-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(draft.Name()) }()
	_, err = draft.Write(raw)
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func newKey() string {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails since Go 1.24
	return base64.StdEncoding.EncodeToString(key)
}
