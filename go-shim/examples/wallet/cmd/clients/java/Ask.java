import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientInterceptor;
import io.grpc.ClientInterceptors;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCalls;
import io.grpc.stub.MetadataUtils;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** Asks by grpc-java, as ask.py does by grpcio: Ask ADDRESS plain|gzip|metadata QUESTIONS. */
public final class Ask {
  /** Messages are bytes. */
  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] value) {
      return new ByteArrayInputStream(value);
    }

    @Override
    public byte[] parse(InputStream stream) {
      try {
        return stream.readAllBytes();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }
  }

  private static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private static String ask(Channel channel, String how, String line) {
    String[] parts = line.split("\t", -1);
    MethodDescriptor<byte[], byte[]> method =
        MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName(parts[0].substring(1))
            .setRequestMarshaller(new Bytes())
            .setResponseMarshaller(new Bytes())
            .build();
    CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(60, TimeUnit.SECONDS);
    if (how.equals("gzip")) {
      options = options.withCompression("gzip");
    }
    HexFormat hex = HexFormat.of();
    try {
      byte[] reply = ClientCalls.blockingUnaryCall(channel, method, options, hex.parseHex(parts[1]));
      return "0\t\t\t" + hex.formatHex(reply);
    } catch (StatusRuntimeException e) {
      String text = e.getStatus().getDescription() == null ? "" : e.getStatus().getDescription();
      byte[] details = e.getTrailers() == null ? null : e.getTrailers().get(DETAILS);
      return e.getStatus().getCode().value()
          + "\t" + hex.formatHex(text.getBytes(StandardCharsets.UTF_8))
          + "\t" + (details == null ? "" : hex.formatHex(details))
          + "\t";
    }
  }

  public static void main(String[] args) throws Exception {
    String address = args[0];
    String how = args[1];
    ManagedChannel connection =
        ManagedChannelBuilder.forTarget(address).usePlaintext().maxInboundMessageSize(64 << 20).build();
    ExecutorService pool = Executors.newFixedThreadPool(16);
    try {
      List<ClientInterceptor> interceptors = new ArrayList<>();
      if (how.equals("metadata")) {
        Metadata extra = new Metadata();
        extra.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer of-nothing");
        extra.put(Metadata.Key.of("x-cookie-bin", Metadata.BINARY_BYTE_MARSHALLER), new byte[] {0, (byte) 0xff});
        interceptors.add(MetadataUtils.newAttachHeadersInterceptor(extra));
      }
      Channel channel = ClientInterceptors.intercept(connection, interceptors);
      List<Future<String>> answers = new ArrayList<>();
      for (String line : Files.readAllLines(Path.of(args[2]))) {
        answers.add(pool.submit(() -> ask(channel, how, line)));
      }
      for (Future<String> answer : answers) {
        System.out.println(answer.get());
      }
    } finally {
      pool.shutdown();
      connection.shutdownNow();
    }
  }
}
