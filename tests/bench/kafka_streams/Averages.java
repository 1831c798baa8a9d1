import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;

/**
 * The mean of every window, as a Kafka Streams user writes it: `Averages ADDRESS SOURCE TARGET STATE READINGS`.
 *
 * <p>Windows of 10 s, 1 s apart, told when they close, at least once, state with a changelog. They are suppressed until
 * they close: `EmitStrategy.onWindowClose` looks for closed windows once a second of the wall clock and only when a
 * record comes, so it never tells those that the last records close. Ends when it has read so many readings, and prints
 * the CPU seconds of the whole process and the seconds since the streams were started.
 */
public final class Averages {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Event time in ms since the epoch, and the temperature. */
    record Reading(long timeMs, double celsius) {}

    /** Sum and count of a window. */
    record Sum(double total, long count) {}

    public static void main(String[] arguments) throws InterruptedException {
        String source = arguments[1];
        String target = arguments[2];
        var left = new AtomicLong(Long.parseLong(arguments[4]));
        var done = new CountDownLatch(1);
        var builder = new StreamsBuilder();
        builder.stream(source, Consumed.with(Serdes.String(), readings()).withTimestampExtractor(Averages::timeMs))
            .peek((device, reading) -> {
                if (left.decrementAndGet() == 0) {
                    done.countDown();
                }
            })
            .groupByKey(Grouped.with(Serdes.String(), readings()))
            .windowedBy(TimeWindows.ofSizeAndGrace(Duration.ofSeconds(10), Duration.ZERO)
                .advanceBy(Duration.ofSeconds(1)))
            .aggregate(
                () -> new Sum(0, 0),
                (device, reading, sum) -> new Sum(sum.total() + reading.celsius(), sum.count() + 1),
                Materialized.with(Serdes.String(), sums()))
            .suppress(Suppressed.untilWindowCloses(Suppressed.BufferConfig.unbounded()))
            .toStream()
            .map(Averages::result)
            .to(target, Produced.with(Serdes.String(), Serdes.ByteArray()));
        var system = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        long cpuNs = system.getProcessCpuTime();
        long startedNs = System.nanoTime();
        var streams = new KafkaStreams(builder.build(), options(arguments));
        streams.start();
        done.await();
        streams.close();
        double cpuS = (system.getProcessCpuTime() - cpuNs) / 1e9;
        System.out.println("[" + cpuS + ", " + (System.nanoTime() - startedNs) / 1e9 + "]");
    }

    private static Properties options(String[] arguments) {
        var options = new Properties();
        options.put(StreamsConfig.APPLICATION_ID_CONFIG, arguments[1] + "-averages");
        options.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        options.put(StreamsConfig.STATE_DIR_CONFIG, arguments[3]);
        options.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        options.put(StreamsConfig.producerPrefix("compression.type"), "lz4");
        return options;
    }

    private static long timeMs(ConsumerRecord<Object, Object> record, long partitionTimeMs) {
        return ((Reading) record.value()).timeMs();
    }

    private static KeyValue<String, byte[]> result(Windowed<String> window, Sum sum) {
        String value = "{\"start\":" + window.window().start() + ",\"end\":" + window.window().end()
            + ",\"value\":" + sum.total() / sum.count() + "}";
        return KeyValue.pair(window.key(), value.getBytes(StandardCharsets.UTF_8));
    }

    private static Serde<Reading> readings() {
        Deserializer<Reading> deserializer = (topic, value) -> {
            try {
                JsonNode fields = JSON.readTree(value);
                long timeMs = Instant.parse(fields.get("timestamp").textValue()).toEpochMilli();
                return new Reading(timeMs, fields.get("temperature").doubleValue());
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        };
        return Serdes.serdeFrom((topic, reading) -> new byte[0], deserializer); // none is ever written
    }

    private static Serde<Sum> sums() {
        return Serdes.serdeFrom(
            (topic, sum) -> ByteBuffer.allocate(16).putDouble(sum.total()).putLong(sum.count()).array(),
            (topic, bytes) -> {
                var buffer = ByteBuffer.wrap(bytes);
                return new Sum(buffer.getDouble(), buffer.getLong());
            });
    }

    private Averages() {}
}
