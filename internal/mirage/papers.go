package mirage

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// papers makes certificates. It is safe for concurrent use.
type papers struct {
	roots   *x509.CertPool
	key     *ecdsa.PrivateKey // of every certificate: nobody but this process sees them
	known   *x509.Certificate // the authority that is trusted
	unknown *x509.Certificate // one that is not
	unkey   *ecdsa.PrivateKey

	mu   sync.Mutex // guards made
	made map[string]*tls.Certificate
}

func newPapers(now time.Time) (*papers, error) {
	p := &papers{roots: x509.NewCertPool(), made: map[string]*tls.Certificate{}}
	var err error
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if p.unkey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if p.known, err = authority("Windsock drill", now, p.key); err != nil {
		return nil, err
	}
	if p.unknown, err = authority("Nobody", now, p.unkey); err != nil {
		return nil, err
	}
	p.roots.AddCert(p.known)
	return p, nil
}

func authority(name string, now time.Time, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// of is the certificate of a host; how is what is wrong with it, "" for nothing.
func (p *papers) of(host, how string) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if made := p.made[how+" "+host]; made != nil {
		return made, nil
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(int64(len(p.made)) + 2), Subject: pkix.Name{CommonName: "drill"}, NotBefore: now.AddDate(0, -6, 0), NotAfter: now.AddDate(0, 6, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent, signer := p.known, p.key
	switch how {
	case howExpired:
		template.NotAfter = now.Add(-time.Hour)
	case howWrongHost:
		host = "another.invalid"
	case howUnknownCA:
		parent, signer = p.unknown, p.unkey
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, p.key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("making a certificate of a drill: %w", err)
	}
	made := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: p.key}
	p.made[how+" "+host] = made
	return made, nil
}
