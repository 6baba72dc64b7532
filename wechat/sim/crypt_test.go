package sim

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// The platform's published example.
const (
	vectorToken  = "AAAAA"
	vectorApp    = "wxba5fad812f8e6fb9"
	vectorCipher = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	vectorPlain  = `{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`
)

var vectorKey = strings.Repeat("A", 43)

func TestTheOfficialVectorsHold(t *testing.T) {
	for _, c := range []struct {
		name  string
		parts []string
		want  string
	}{
		{"echo", []string{vectorToken, "1714036504", "1514711492"}, "f464b24fc39322e44b38aa78f5edd27bd1441696"},
		{"plain", []string{vectorToken, "1714037059", "486452656"}, "899cf89e464efb63f54ddac96b0a0a235f53aa78"},
		{"safe, of the call", []string{vectorToken, "1714112445", "415670741"}, "6c5c811b55cc85e0e1b54100749188c20beb3f5d"},
		{"safe, of the body", []string{vectorToken, "1714112445", "415670741", vectorCipher}, "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3"},
		{"reply", []string{vectorToken, "1713424427", "415670741", "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ=="}, "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1"},
	} {
		if got := signature(c.parts...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	key, err := aesKey(vectorKey)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := encrypt(key, "707722b803182950", []byte(`{"demo_resp":"good luck"}`), vectorApp)
	if err != nil || sealed != "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==" {
		t.Errorf("encrypted to %s %v", sealed, err)
	}
	message, appID, err := decrypt(key, vectorCipher)
	if err != nil || message != vectorPlain || appID != vectorApp {
		t.Errorf("decrypted to %s of %s, %v", message, appID, err)
	}
}

func TestAKeyThatIsNoneIsAPanicAtTheStart(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a key of 42 characters was taken")
		}
	}()
	New(Config{EncodingAESKey: vectorKey[1:]})
}

// decrypt is the receiver's half.
func decrypt(key []byte, encoded string) (message, appID string, err error) {
	sealed, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(sealed) == 0 || len(sealed)%padTo != 0 {
		return "", "", errors.New("no whole blocks of 32 bytes")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return "", "", err
	}
	cipher.NewCBCDecrypter(block, key[:aes.BlockSize]).CryptBlocks(sealed, sealed)
	pad := int(sealed[len(sealed)-1])
	if pad < 1 || pad > padTo {
		return "", "", errors.New("padding")
	}
	plain := sealed[:len(sealed)-pad]
	if len(plain) < 20 || len(plain) < 20+int(binary.BigEndian.Uint32(plain[16:])) {
		return "", "", errors.New("length")
	}
	n := 20 + int(binary.BigEndian.Uint32(plain[16:]))
	return string(plain[20:n]), string(plain[n:]), nil
}
