// Package outboundtest gives tests targets that misbehave on the network itself, each a real listener on loopback: a DNS
// server, certificates of every fault, an address that swallows connections, a peer that says what it is told to say.
package outboundtest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Serve answers HTTP until the test ends, and returns the URL.
func Serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// Hung takes requests and never answers. It returns its URL, and a channel that is closed when the first request has come.
func Hung(t *testing.T) (url string, reached <-chan struct{}) {
	t.Helper()
	came := make(chan struct{})
	var once sync.Once
	address := Raw(t, func(conn net.Conn, done <-chan struct{}) {
		_, _ = conn.Read(make([]byte, 4096))
		once.Do(func() { close(came) })
		<-done
	})
	return "http://" + address, came
}

// Raw listens and calls handle for each connection, which it closes afterwards. It returns the address. The test ends
// when every handler has ended; handlers that wait watch done.
func Raw(t *testing.T, handle func(conn net.Conn, done <-chan struct{})) string {
	t.Helper()
	listener := listen(t)
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				handle(conn, done)
			})
		}
	})
	t.Cleanup(func() {
		close(done)
		_ = listener.Close()
		running.Wait()
	})
	return listener.Addr().String()
}

func listen(t *testing.T) *net.TCPListener {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener.(*net.TCPListener)
}

// Reset makes the close of a connection a reset.
func Reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Refused returns an address on which nobody listens. The port is kept, so that nobody else gets it meanwhile.
func Refused(t *testing.T) string {
	t.Helper()
	address, _ := Late(t)
	return address
}

// Late returns an address on which nobody listens before open is called. The port is kept until the test ends.
func Late(t *testing.T) (address string, open func() net.Listener) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "late listener")
	t.Cleanup(func() { _ = file.Close() })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address = net.JoinHostPort("127.0.0.1", strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
	return address, func() net.Listener {
		t.Helper()
		if err := syscall.Listen(fd, syscall.SOMAXCONN); err != nil {
			t.Fatal(err)
		}
		listener, err := net.FileListener(file)
		if err != nil {
			t.Fatal(err)
		}
		return listener
	}
}

// Blackhole returns an address whose accept queue is full and never emptied, so that the kernel drops what else tries
// to connect, as a firewall that drops does.
func Blackhole(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	t.Cleanup(func() { _ = listener.Close() })
	raw, err := listener.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	address, refused := listener.Addr().String(), 0
	for range 32 {
		if fill(t, address) {
			refused = 0
			continue
		}
		if refused++; refused == 2 { // once may be a busy machine's doing
			return address
		}
	}
	t.Fatal("the accept queue does not fill")
	return ""
}

// fill adds a connection to the queue, and reports whether there was room.
func fill(t *testing.T, address string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		if late, ok := errors.AsType[net.Error](err); !ok || !late.Timeout() {
			t.Fatal(err)
		}
		return false
	}
	t.Cleanup(func() { _ = conn.Close() })
	return true
}

// Resolver serves handle as a DNS server on loopback and returns a resolver that asks nobody else.
func Resolver(t *testing.T, handle dns.HandlerFunc) *net.Resolver {
	t.Helper()
	var config net.ListenConfig
	packets, err := config.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	server := &dns.Server{PacketConn: packets, Handler: handle, NotifyStartedFunc: func() { close(started) }}
	var running sync.WaitGroup
	running.Go(func() { _ = server.ActivateAndServe() })
	<-started
	t.Cleanup(func() {
		_ = server.Shutdown()
		running.Wait()
	})
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "udp", packets.LocalAddr().String())
		},
	}
}

// Answer is a DNS handler that gives one response code to every question.
func Answer(code int) dns.HandlerFunc {
	return func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetRcode(question, code)
		answer.RecursionAvailable = true // without it an empty answer is a lame referral
		_ = w.WriteMsg(answer)
	}
}

// Silence is a DNS handler that never answers.
func Silence(dns.ResponseWriter, *dns.Msg) {}

// Address is a DNS handler that answers every question for A with one address.
func Address(ip string) dns.HandlerFunc {
	return func(w dns.ResponseWriter, question *dns.Msg) {
		answer := new(dns.Msg).SetReply(question)
		answer.RecursionAvailable = true
		if q := question.Question[0]; q.Qtype == dns.TypeA {
			header := dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}
			answer.Answer = append(answer.Answer, &dns.A{Hdr: header, A: net.ParseIP(ip)})
		}
		_ = w.WriteMsg(answer)
	}
}

// CA is a certificate authority of one test.
type CA struct {
	File string // PEM

	cert      *x509.Certificate
	key       *ecdsa.PrivateKey
	algorithm x509.SignatureAlgorithm // of what it signs; 0 is the key's own
}

// NewCA makes an authority and writes its certificate to a file.
func NewCA(t *testing.T) *CA {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "windsock test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{File: writePEM(t, "ca.pem", "CERTIFICATE", der), cert: cert, key: key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Validity is when a certificate holds, from now.
type Validity struct{ From, Until time.Duration }

// Valid holds now.
func Valid() Validity { return Validity{-time.Hour, time.Hour} }

// Expired ended an hour ago.
func Expired() Validity { return Validity{-2 * time.Hour, -time.Hour} }

// NotYetValid begins in an hour.
func NotYetValid() Validity { return Validity{time.Hour, 2 * time.Hour} }

// Config is a server's TLS configuration with a certificate for hosts, names or addresses.
func (ca *CA) Config(t *testing.T, validity Validity, hosts ...string) *tls.Config {
	t.Helper()
	der, key := ca.issue(t, validity, x509.ExtKeyUsageServerAuth, hosts)
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// SHA1 is Config with a certificate that is signed with SHA-1, as no authority may since 2016.
func (ca *CA) SHA1(t *testing.T, hosts ...string) *tls.Config {
	t.Helper()
	weak := *ca
	weak.algorithm = x509.ECDSAWithSHA1
	return weak.Config(t, Valid(), hosts...)
}

// Client writes a client's certificate and its key to files, and returns the pool that a server verifies it with.
func (ca *CA) Client(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	der, key := ca.issue(t, Valid(), x509.ExtKeyUsageClientAuth, []string{"client.test"})
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(ca.cert)
	return writePEM(t, "client.pem", "CERTIFICATE", der), writePEM(t, "client.key", "EC PRIVATE KEY", secret), pool
}

func (ca *CA) issue(t *testing.T, validity Validity, usage x509.ExtKeyUsage, hosts []string) ([]byte, *ecdsa.PrivateKey) {
	t.Helper()
	key := newKey(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "windsock test"},
		NotBefore: time.Now().Add(validity.From), NotAfter: time.Now().Add(validity.Until),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, SignatureAlgorithm: ca.algorithm,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &key.PublicKey, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

func writePEM(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
