package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// Secret is a text that prints as *** whatever prints it.
type Secret string

// Reveal is the secret itself, for the one who needs it.
func (s Secret) Reveal() string { return string(s) }

// Format hides the secret from fmt, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { hide(f, len(s)) }

// MarshalText hides the secret from JSON and slog.
func (s Secret) MarshalText() ([]byte, error) { return hiddenText(len(s)), nil }

func (Secret) hidden() {}

// Key is 32 secret bytes, written in base64. It prints like a Secret.
type Key []byte

const keySize = 32

// UnmarshalText reads base64, with or without padding.
func (k *Key) UnmarshalText(text []byte) error {
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(string(text), "="))
	if err != nil || len(raw) != keySize {
		return errors.New("应为 32 字节的 base64，可用 openssl rand -base64 32 生成")
	}
	*k = raw
	return nil
}

// Format hides the key from fmt, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { hide(f, len(k)) }

// MarshalText hides the key from JSON and slog.
func (k Key) MarshalText() ([]byte, error) { return hiddenText(len(k)), nil }

func (Key) hidden() {}

// isExample says whether the key is one that documentation shows, or no key at all.
func (k Key) isExample() bool {
	return strings.HasPrefix(string(k), "dangri-example-") || strings.Count(string(k), string(k[:1])) == keySize
}

// SealKey is a key with the id that is written beside what it sealed.
type SealKey struct {
	ID  string
	Key Key
}

// SealKeys are the keys of personal data at rest: the first seals, all of them
// open. Written id:base64,id:base64.
type SealKeys []SealKey

var keyID = regexp.MustCompile(`^[0-9a-z-]{1,16}$`)

// UnmarshalText reads id:base64,id:base64.
func (s *SealKeys) UnmarshalText(text []byte) error {
	form := errors.New("应为 编号:密钥，可用逗号隔开多个；编号是不重复的 16 位以内的小写字母、数字或短横，密钥是 32 字节的 base64")
	var keys SealKeys
	seen := map[string]bool{}
	for part := range strings.SplitSeq(string(text), ",") {
		id, encoded, _ := strings.Cut(strings.TrimSpace(part), ":")
		k := SealKey{ID: id}
		if !keyID.MatchString(id) || seen[id] || k.Key.UnmarshalText([]byte(encoded)) != nil {
			return form
		}
		seen[id] = true
		keys = append(keys, k)
	}
	*s = keys
	return nil
}

func (s SealKeys) keys() (keys []Key) {
	for _, k := range s {
		keys = append(keys, k.Key)
	}
	return keys
}

// Format hides the keys from fmt, whatever the verb.
func (s SealKeys) Format(f fmt.State, _ rune) { hide(f, len(s)) }

// MarshalText hides the keys from JSON and slog.
func (s SealKeys) MarshalText() ([]byte, error) { return hiddenText(len(s)), nil }

func (SealKeys) hidden() {}

func hide(f fmt.State, length int) { _, _ = f.Write(hiddenText(length)) }

func hiddenText(length int) []byte {
	if length == 0 {
		return nil
	}
	return []byte("***")
}

// FilesAt is where photos are kept: a folder, or a bucket of an S3-compatible
// store with what its names begin with.
type FilesAt struct {
	Folder            string
	Endpoint          string
	Bucket, Beginning string
	Plain             bool // without TLS, for a store in the same machine room
}

// UnmarshalText reads a folder, s3://host/bucket/beginning, or s3+http://… of a
// store without TLS.
func (f *FilesAt) UnmarshalText(text []byte) error {
	address := string(text)
	scheme, rest, remote := strings.Cut(address, "://")
	if !remote {
		*f = FilesAt{Folder: address}
		return nil
	}
	out := FilesAt{Plain: scheme == "s3+http"}
	out.Endpoint, rest, _ = strings.Cut(rest, "/")
	out.Bucket, out.Beginning, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if scheme != "s3" && !out.Plain || out.Endpoint == "" || !bucketForm.MatchString(out.Bucket) || strings.ContainsAny(address, "@?#") {
		return errors.New("应为文件夹，或 s3://主机/桶/前缀；不加密的内网存储写作 s3+http://…；密钥另外设置")
	}
	*f = out
	return nil
}

var bucketForm = regexp.MustCompile(`^[0-9a-z][0-9a-z.-]{1,61}[0-9a-z]$`)

// String is the place as it is written in the environment.
func (f FilesAt) String() string {
	if f.Endpoint == "" {
		return f.Folder
	}
	scheme := "s3"
	if f.Plain {
		scheme = "s3+http"
	}
	return strings.TrimSuffix(scheme+"://"+f.Endpoint+"/"+f.Bucket+"/"+f.Beginning, "/")
}

// RedisAddr is where Redis is: one server, the nodes of a cluster, or the
// sentinels that know the present master.
type RedisAddr struct {
	Addrs  []string
	Master string // the name that the sentinels know; "" without sentinels
}

const sentinel = "sentinel://"

// UnmarshalText reads host:port, host:port,host:port… of a cluster, or
// sentinel://master@host:port,host:port….
func (r *RedisAddr) UnmarshalText(text []byte) error {
	form := errors.New("应为 主机:6379，集群用逗号隔开各节点，哨兵写作 sentinel://主库名@主机:26379,主机:26379")
	nodes, watched := strings.CutPrefix(string(text), sentinel)
	var out RedisAddr
	if watched {
		out.Master, nodes, _ = strings.Cut(nodes, "@")
		if out.Master == "" {
			return form
		}
	}
	for node := range strings.SplitSeq(nodes, ",") {
		node = strings.TrimSpace(node)
		host, _, err := net.SplitHostPort(node)
		if err != nil || host == "" || strings.ContainsAny(host, "@/") || !isListenAddr(node) {
			return form
		}
		out.Addrs = append(out.Addrs, node)
	}
	*r = out
	return nil
}

// String is the address as it is written in the environment.
func (r RedisAddr) String() string {
	nodes := strings.Join(r.Addrs, ",")
	if r.Master != "" {
		return sentinel + r.Master + "@" + nodes
	}
	return nodes
}
