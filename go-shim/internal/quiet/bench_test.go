package quiet_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"hotpath.dev/go-shim/internal/quiet"
	"hotpath.dev/go-shim/shimtest"
)

// serverVariable makes this program a server of its own, so that its CPU time is apart from the clients'.
// QUIET_TEST_CORES is the server's list of cores for taskset.
const serverVariable, coresVariable = "QUIET_TEST_SERVER", "QUIET_TEST_CORES"

func TestMain(m *testing.M) {
	if kind := os.Getenv(serverVariable); kind != "" {
		serve(kind)
		return
	}
	os.Exit(m.Run())
}

// quietly is insecure.NewCredentials over quiet connections.
type quietly struct {
	credentials.TransportCredentials
}

func (q quietly) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return q.TransportCredentials.ServerHandshake(quiet.Wrap(conn))
}

type trivial struct {
	testpb.UnimplementedTestServiceServer
}

func (trivial) EmptyCall(context.Context, *testpb.Empty) (*testpb.Empty, error) {
	return &testpb.Empty{}, nil
}

// serve answers until standard input ends, and each line there with the CPU time so far.
func serve(kind string) {
	var creds credentials.TransportCredentials = insecure.NewCredentials()
	if kind == "quiet" {
		creds = quietly{creds}
	}
	server := grpc.NewServer(grpc.Creds(creds), grpc.NumStreamWorkers(128))
	testpb.RegisterTestServiceServer(server, trivial{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = server.Serve(listener) }()
	fmt.Println(listener.Addr())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println(shimtest.ProcessTime(&testing.B{}))
	}
}

// server is such a program.
type server struct {
	conns []*grpc.ClientConn
	ask   func() int64
}

func start(b *testing.B, kind string) server {
	command := []string{os.Args[0], "-test.run=^$"}
	if cores := os.Getenv(coresVariable); cores != "" {
		command = append([]string{"taskset", "-c", cores}, command...)
	}
	child := exec.Command(command[0], command[1:]...)
	child.Env = append(os.Environ(), serverVariable+"="+kind)
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = in.Close(), child.Wait() })
	lines := bufio.NewReader(out)
	read := func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			b.Fatal(err)
		}
		return strings.TrimSpace(line)
	}
	address := read()
	s := server{ask: func() (cpu int64) {
		fmt.Fprintln(in)
		_, _ = fmt.Sscan(read(), &cpu)
		return cpu
	}}
	for range 4 {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() })
		s.conns = append(s.conns, conn)
	}
	return s
}

// run asks a number of requests, from inFlight callers or at even gaps.
func (s server) run(b *testing.B, requests, inFlight int, gap time.Duration) {
	var callers sync.WaitGroup
	begin := time.Now()
	for i := range inFlight {
		callers.Go(func() {
			client := testpb.NewTestServiceClient(s.conns[i%len(s.conns)])
			for n := i; n < requests; n += inFlight {
				if wait := time.Until(begin.Add(time.Duration(n) * gap)); gap > 0 && wait > 0 {
					time.Sleep(wait)
				}
				if _, err := client.EmptyCall(b.Context(), &testpb.Empty{}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
}

// BenchmarkServer compares the CPU time of a grpc-go server with and without quiet connections, by turns. ratio is the
// quiet one's over the other's.
func BenchmarkServer(b *testing.B) {
	for _, load := range []struct {
		name     string
		inFlight int
		gap      time.Duration
	}{{"2000-a-second", 16, 500 * time.Microsecond}, {"one-in-flight", 1, 0}, {"8-in-flight", 8, 0}, {"128-in-flight", 128, 0}} {
		b.Run(load.name, func(b *testing.B) {
			servers := map[string]server{"plain": start(b, "plain"), "quiet": start(b, "quiet")}
			used := map[string]int64{}
			for _, s := range servers {
				s.run(b, 200, load.inFlight, load.gap) // connects
			}
			const turn = 500
			turns := max(1, b.N/turn/2)
			b.ResetTimer()
			for range turns {
				for kind, s := range servers {
					before := s.ask()
					s.run(b, turn, load.inFlight, load.gap)
					used[kind] += s.ask() - before
				}
			}
			b.ReportMetric(float64(used["plain"])/float64(turns*turn), "plain-cpu-ns/op")
			b.ReportMetric(float64(used["quiet"])/float64(turns*turn), "quiet-cpu-ns/op")
			b.ReportMetric(float64(used["quiet"])/float64(used["plain"]), "ratio")
		})
	}
}
