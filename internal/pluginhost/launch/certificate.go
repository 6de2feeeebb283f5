package launch

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
	"time"
)

// identity is the certificate by which a plugin knows the agent: new for each process, in memory only, and the only one that
// the plugin accepts. The plugin's own comes with its handshake. It is what go-plugin's AutoMTLS makes, but for the curve:
// a plugin in Go would spend milliseconds of its start on P-521, and not every language knows it.
type identity struct {
	config *tls.Config
	env    string // how the plugin is told
}

func newIdentity(now time.Time) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	number, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a certificate's number: %w", err)
	}
	const host, years = "localhost", 30 // go-plugin's name on both sides, and its time: a process may live long
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: host, Organization: []string{"Windsock"}}, DNSNames: []string{host}, SerialNumber: number,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		NotBefore: now.Add(-30 * time.Second), NotAfter: now.AddDate(years, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &identity{
		config: &tls.Config{
			Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
			ServerName:   host, MinVersion: tls.VersionTLS12,
			RootCAs: x509.NewCertPool(), // nobody, until go-plugin puts the plugin's own in its place
		},
		env: "PLUGIN_CLIENT_CERT=" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
	}, nil
}
