package main

// The echo service and both of its ends. The message is protobuf's own BytesValue and the service is
// described by hand, so that no code generator is needed to build this.

import (
	"context"
	"errors"
	"os"
	"os/exec"

	"github.com/golang/protobuf/ptypes/wrappers"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

var handshake = plugin.HandshakeConfig{
	ProtocolVersion:  1,
	MagicCookieKey:   "BENCHMARK_GOPLUGIN",
	MagicCookieValue: "echo",
}

var plugins = map[string]plugin.Plugin{"echo": &echoPlugin{}}

type echoPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (*echoPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&echoService, &echoServer{})
	return nil
}

func (*echoPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (interface{}, error) {
	return &echoClient{conn}, nil
}

type echoServer struct{}

func (*echoServer) echo(in *wrappers.BytesValue) *wrappers.BytesValue { return in }

var echoService = grpc.ServiceDesc{
	ServiceName: "benchmark.Echo",
	HandlerType: (*interface{})(nil),
	Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: handleEcho}},
}

func handleEcho(server interface{}, ctx context.Context, decode func(interface{}) error, _ grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(wrappers.BytesValue)
	if err := decode(in); err != nil {
		return nil, err
	}
	return server.(*echoServer).echo(in), nil
}

type echoClient struct{ conn *grpc.ClientConn }

func (c *echoClient) call(payload []byte) error {
	out := new(wrappers.BytesValue)
	err := c.conn.Invoke(context.Background(), "/benchmark.Echo/Echo", &wrappers.BytesValue{Value: payload}, out)
	if err != nil {
		return err
	}
	if len(out.Value) != len(payload) {
		return errors.New("the echo has another length")
	}
	return nil
}

func servePlugin() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugins,
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          quiet(),
	})
}

type host struct {
	client *plugin.Client
	echo   *echoClient
	pid    int
}

func startPlugin() (*host, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugins,
		Cmd:              command,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           quiet(),
	})
	echo, err := dispense(client)
	if err != nil {
		client.Kill()
		return nil, err
	}
	return &host{client, echo, command.Process.Pid}, nil
}

func dispense(client *plugin.Client) (*echoClient, error) {
	protocol, err := client.Client()
	if err != nil {
		return nil, err
	}
	raw, err := protocol.Dispense("echo")
	if err != nil {
		return nil, err
	}
	return raw.(*echoClient), nil
}

func (h *host) stop() { h.client.Kill() }

func quiet() hclog.Logger { return hclog.NewNullLogger() }
