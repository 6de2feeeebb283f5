package drill

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// authority signs the certificates of a drill. Its key is made for one drill and kept in memory only.
type authority struct {
	key     *ecdsa.PrivateKey
	cert    *x509.Certificate
	pem     []byte
	unknown *authority // signs what nobody trusts

	mu   sync.Mutex // guards made
	made map[string]certificate
}

// certificate is one, or why there is none.
type certificate struct {
	pair *tls.Certificate
	err  error
}

func (c certificate) get() (*tls.Certificate, error) { return c.pair, c.err }

func newAuthority() (*authority, error) {
	a, err := oneAuthority()
	if err != nil {
		return nil, err
	}
	a.unknown, err = oneAuthority()
	return a, err
}

func oneAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the drill's authority: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Windsock drill"},
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("making the drill's authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("making the drill's authority: %w", err)
	}
	return &authority{
		key: key, cert: cert, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), made: map[string]certificate{},
	}, nil
}

// of is the certificate of a host, as good or as bad as is wanted.
func (a *authority) of(host, how string) certificate {
	if how == TLSUnknownCA {
		return a.unknown.of(host, "")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	key := host + " " + how
	if _, is := a.made[key]; !is {
		pair, err := a.sign(host, how)
		a.made[key] = certificate{pair, err}
	}
	return a.made[key]
}

func (a *authority) sign(host, how string) (*tls.Certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: host}, NotBefore: now.AddDate(0, -3, 0), NotAfter: now.AddDate(0, 6, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	switch how {
	case TLSExpired:
		template.NotAfter = now.Add(-time.Hour)
	case TLSWrongHost:
		host = "other." + host
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}, nil
}
