package plugintest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/windsock-monitor/windsock/plugins/wire"
)

// maxReceive is what the agent takes in one answer, in bytes.
const maxReceive = 4 << 20

// identity is the certificate of the suite, as the agent makes one for each start.
type identity struct {
	pem  string
	cert tls.Certificate
}

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-30 * time.Second), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageKeyAgreement | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &identity{
		pem:  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
	}, nil
}

// handshake is the line that a plugin prints.
type handshake struct {
	address string
	cert    *x509.Certificate // nil: without TLS
}

// readHandshake reads CORE|VERSION|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE.
func readHandshake(line string) (handshake, error) {
	parts := strings.Split(strings.TrimRight(line, "\r"), "|")
	if len(parts) < 5 {
		return handshake{}, fmt.Errorf("the first line on standard output is %q, want 1|1|unix|PATH|grpc|CERTIFICATE and nothing before it", clip(line))
	}
	want := map[int]string{0: "1", 1: "1", 2: "unix", 4: "grpc"}
	names := []string{"version of the handshake", "version of the protocol", "network", "address", "kind of protocol"}
	for i, name := range names {
		if want[i] != "" && parts[i] != want[i] {
			return handshake{}, fmt.Errorf("the %s in the handshake is %q, want %q", name, clip(parts[i]), want[i])
		}
	}
	h := handshake{address: parts[3]}
	if !filepath.IsAbs(h.address) {
		return handshake{}, fmt.Errorf("the address in the handshake is %q, want the absolute path of a socket", clip(h.address))
	}
	if len(parts) == 5 || parts[5] == "" {
		return h, nil
	}
	der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(parts[5], "="))
	if err != nil {
		return handshake{}, fmt.Errorf("the certificate in the handshake is not base64: %w", err)
	}
	if h.cert, err = x509.ParseCertificate(der); err != nil {
		return handshake{}, fmt.Errorf("the certificate in the handshake: %w", err)
	}
	return h, nil
}

// secure is what the connection is protected with.
func secure(who *identity, line handshake) credentials.TransportCredentials {
	if line.cert == nil {
		return insecure.NewCredentials()
	}
	pool := x509.NewCertPool()
	pool.AddCert(line.cert)
	config := &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if who != nil {
		config.Certificates = []tls.Certificate{who.cert}
	}
	return credentials.NewTLS(config)
}

// dial makes a connection to the socket. It connects at the first call.
func dial(who *identity, line handshake) (*grpc.ClientConn, error) {
	return dialWith(secure(who, line), line.address)
}

func dialWith(how credentials.TransportCredentials, address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///plugin", grpc.WithTransportCredentials(how), grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxReceive)), grpc.WithDisableServiceConfig(),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", address)
		}))
	if err != nil {
		return nil, fmt.Errorf("connecting to the plugin: %w", err)
	}
	return conn, nil
}

// serving asks for the plugin's health.
func serving(ctx context.Context, conn *grpc.ClientConn, most time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if err != nil {
		return fmt.Errorf("the health service was asked for %q: %w", wire.HealthService, said(err))
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return fmt.Errorf("the health of %q is %s, want SERVING", wire.HealthService, answer.GetStatus())
	}
	return nil
}

// reachable makes the connection, whatever the plugin's health is.
func reachable(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: wire.HealthService})
	if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
		return fmt.Errorf("connecting to its socket: %w", said(err))
	}
	return nil
}

// shutdown asks the process to end. Its error says nothing: the answer is often lost with the process.
func shutdown(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	return conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{}) //nolint:wrapcheck // looked at by one caller
}

// followStdio reads what a plugin with the library prints, until the connection ends: such a plugin's standard output is
// a pipe to this stream, and a full pipe would hold it up.
func followStdio(ctx context.Context, conn *grpc.ClientConn, into *capture) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/plugin.GRPCStdio/StreamStdio")
	if err != nil || stream.SendMsg(&emptypb.Empty{}) != nil || stream.CloseSend() != nil {
		return
	}
	for {
		var message emptypb.Empty
		if stream.RecvMsg(&message) != nil {
			return
		}
		_, _ = into.Write(field(message.ProtoReflect().GetUnknown(), 2))
	}
}

// field is a field of type bytes of a message that was read as an empty one.
func field(message []byte, number protowire.Number) []byte {
	for len(message) > 0 {
		n, typ, size := protowire.ConsumeTag(message)
		if size < 0 {
			return nil
		}
		message = message[size:]
		if n == number && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			return value
		}
		if size = protowire.ConsumeFieldValue(n, typ, message); size < 0 {
			return nil
		}
		message = message[size:]
	}
	return nil
}
