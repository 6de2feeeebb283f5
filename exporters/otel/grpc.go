package otel

import (
	"context"
	"errors"
	"net"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
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

func dialMetricsGRPC(t *target, last *exchange) (sender[*metricdata.ResourceMetrics], func() error, error) {
	conn, err := t.grpcConn(last)
	if err != nil {
		return nil, nil, err
	}
	exp, err := otlpmetricgrpc.New(context.Background(), otlpmetricgrpc.WithGRPCConn(conn),
		otlpmetricgrpc.WithHeaders(map[string]string{}), otlpmetricgrpc.WithTimeout(t.timeout),
		otlpmetricgrpc.WithMaxRequestSize(0), otlpmetricgrpc.WithRetry(otlpmetricgrpc.RetryConfig{}))
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return exp.Export, conn.Close, nil
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
	x.fault = invoke(ctx, method, req, reply, conn, options...)
	if x.fault == nil {
		x.answered = true
		x.see(reply)
	} else if message, ok := req.(proto.Message); ok {
		x.size = proto.Size(message)
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
