package otel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

func dialMetricsGRPC(t *target, last *exchange) (sender[[]byte], func() error, error) {
	conn, err := t.grpcConn(last)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, request []byte) error {
		return conn.Invoke(ctx, colmetricspb.MetricsService_Export_FullMethodName, encoded(request),
			new(colmetricspb.ExportMetricsServiceResponse), grpc.ForceCodec(encodedCodec{}))
	}, conn.Close, nil
}

// encoded is a message that has its wire form already.
type encoded []byte

// encodedCodec is gRPC's protobuf codec for requests that are encoded.
type encodedCodec struct{}

// Name is the content type's: application/grpc+proto.
func (encodedCodec) Name() string { return "proto" }

// Marshal takes an encoded.
func (encodedCodec) Marshal(v any) ([]byte, error) {
	message, ok := v.(encoded)
	if !ok {
		return nil, fmt.Errorf("a %T is not encoded", v)
	}
	return message, nil
}

// Unmarshal reads any message.
func (encodedCodec) Unmarshal(data []byte, v any) error {
	message, ok := v.(proto.Message)
	if !ok {
		return fmt.Errorf("a %T is no message", v)
	}
	return proto.Unmarshal(data, message)
}

func dialLogsGRPC(t *target, last *exchange) (sender[[]*logspb.ResourceLogs], func() error, error) {
	conn, err := t.grpcConn(last)
	if err != nil {
		return nil, nil, err
	}
	service := collogspb.NewLogsServiceClient(conn)
	return func(ctx context.Context, logs []*logspb.ResourceLogs) error {
		_, err := service.Export(ctx, &collogspb.ExportLogsServiceRequest{ResourceLogs: logs})
		return err
	}, conn.Close, nil
}

func dialTracesGRPC(t *target, last *exchange) (sender[[]*tracepb.ResourceSpans], func() error, error) {
	conn, err := t.grpcConn(last)
	if err != nil {
		return nil, nil, err
	}
	exp := otlptracegrpc.NewClient(otlptracegrpc.WithGRPCConn(conn),
		otlptracegrpc.WithHeaders(map[string]string{}), otlptracegrpc.WithTimeout(t.timeout),
		otlptracegrpc.WithMaxRequestSize(0), otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{}))
	if err := exp.Start(context.Background()); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return exp.UploadTraces, func() error { return errors.Join(exp.Stop(context.Background()), conn.Close()) }, nil
}

// grpcConn is a connection that is made at the first call, through the agent's way out and past no proxy of the process.
func (t *target) grpcConn(last *exchange) (*grpc.ClientConn, error) {
	trust := insecure.NewCredentials()
	if t.url.Scheme == "https" {
		config, err := t.tlsConfig()
		if err != nil {
			return nil, err
		}
		trust = credentials.NewTLS(config)
	}
	host := t.url.Host
	if t.url.Port() == "" {
		host = net.JoinHostPort(t.url.Hostname(), "4317")
	}
	dial := t.dialContext()
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(trust),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, "tcp", addr) }),
		grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithUserAgent(t.userAgent),
		grpc.WithUnaryInterceptor(last.intercept),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.DefaultConfig, MinConnectTimeout: min(t.timeout, 20*time.Second),
		}),
	}
	if t.gzip {
		options = append(options, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	return grpc.NewClient("passthrough:///"+host, options...)
}

// intercept puts our headers on and writes down what the call came to.
func (x *exchange) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error { //nolint:revive // the signature is gRPC's
	x.tried = true
	pairs := make([]string, 0, 2*len(x.headers))
	for name, value := range x.headers {
		pairs = append(pairs, name, value)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, pairs...)
	switch message := req.(type) {
	case encoded:
		x.size = len(message)
	case proto.Message:
		x.size = proto.Size(message)
	}
	x.fault = invoke(ctx, method, req, reply, conn, options...)
	if x.fault == nil {
		x.answered = true
		x.see(reply)
	}
	return x.fault
}

// errorText is what a person can read in an error's body: the message of a google.rpc.Status, or the body where it is text.
func errorText(contentType string, body []byte) string {
	switch mediaType(contentType) {
	case "application/x-protobuf":
		var s spb.Status
		if proto.Unmarshal(body, &s) != nil {
			return ""
		}
		return s.GetMessage()
	case "text/plain", "application/json", "":
		return string(body[:min(len(body), 1024)])
	}
	return ""
}
