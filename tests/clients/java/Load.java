// The Java client under an open-loop load, with the settings it has by itself: sends a numbered record whenever one is
// due, to the partitions in turn, and writes a line when a record is sent, and when it is acked or has failed. Ends
// when its input does. Usage: Load BOOTSTRAP TOPIC PARTITIONS INTERVAL_MS BYTES

import java.io.IOException;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Load {
    private static volatile boolean ended = false;

    public static void main(String[] arguments) throws IOException {
        String topic = arguments[1];
        int partitions = Integer.parseInt(arguments[2]);
        long interval = TimeUnit.MILLISECONDS.toNanos(Long.parseLong(arguments[3]));
        String format = "%-" + arguments[4] + "d";
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0]);
        Thread end = new Thread(Load::untilInputEnds);
        end.setDaemon(true);
        end.start();
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            long start = System.nanoTime();
            for (long number = 0; !ended; number++) {
                LockSupport.parkNanos(start + number * interval - System.nanoTime());
                String value = String.format(format, number);
                send(producer, number, new ProducerRecord<>(topic, (int) (number % partitions), null, value));
            }
        }
    }

    private static void send(KafkaProducer<String, String> producer, long number, ProducerRecord<String, String> record) {
        say("sent " + number);
        producer.send(record, (place, error) -> {
            if (error == null) {
                say("acked " + number + " " + place.partition() + " " + place.offset());
            } else {
                say("failed " + number + " " + error);
            }
        });
    }

    private static void say(String line) {
        synchronized (System.out) {
            System.out.println(line);
            System.out.flush();
        }
    }

    private static void untilInputEnds() {
        try {
            while (System.in.read() >= 0) {}
        } catch (IOException closed) {
            // That is an end, too.
        }
        ended = true;
    }
}
