package outbound

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/windsock-monitor/windsock/checks"
)

// withRoots adds a file of certificates to roots. nil stands for the system's alone.
func withRoots(roots *x509.CertPool, path string) (*x509.CertPool, error) {
	if path == "" {
		return roots, nil
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own configuration
	if err != nil {
		return nil, fmt.Errorf("reading the %w: %w", ErrCAFile, err)
	}
	if roots != nil {
		roots = roots.Clone()
	} else if roots, err = x509.SystemCertPool(); err != nil { // a host without a bundle: the file alone counts
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the %w %q holds no PEM certificate", ErrCAFile, path)
	}
	return roots, nil
}

// ownTLS is the configuration of an exchange that differs from the network's, nil where it does not.
func (n *Network) ownTLS(own *TLS) (*tls.Config, error) {
	if own == nil || *own == (TLS{}) {
		return nil, nil
	}
	config := n.TLSConfig()
	config.ServerName = own.ServerName
	var err error
	if config.RootCAs, err = withRoots(config.RootCAs, own.CAFile); err != nil {
		return nil, tlsMisuse("ca_file", err)
	}
	if own.CertFile == "" && own.KeyFile == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(own.CertFile, own.KeyFile)
	if err != nil {
		return nil, tlsMisuse("client_certificate", fmt.Errorf("our certificate and its key: %w", err))
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// tlsMisuse is a file that cannot be used. A file that cannot be opened names itself, and none quotes what is in it.
func tlsMisuse(reason string, err error) *Failure {
	if missing, ok := errors.AsType[*os.PathError](err); ok {
		err = fmt.Errorf("%s %q: %w", missing.Op, missing.Path, missing.Err)
	}
	return &Failure{Cause: checks.CauseConfig, Stage: stageTLS, Reason: reason, Err: &cleanError{text: Sanitize(err.Error(), maxErrorText), cause: err}}
}
