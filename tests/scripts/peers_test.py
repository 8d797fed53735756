"""bench/peers without any peer: the contest with scripted processes, and the table."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "bench", "peers"))
import run
import systems
import table

SYSTEM = systems.System("Somebody", "somebody.py", "runtimes", {"float": "plain", "int8": "codes"})
ROW = dict(model="resnet8_w4a4", system="Somebody", variant="float", samples_per_second=2500.0, ratio_to_fp32_peak=1.25)
ABOUT = dict(cpu="a processor", date="today", load_average=0.0)


def contestant(program):
    return run.Contestant(SYSTEM, "float", [sys.executable, "-c", program], {})


class Contest(unittest.TestCase):
    def test_keeps_the_last_answer(self):
        c = contestant("""
import json, sys
print(json.dumps(dict(ready=True)), flush=True)
total = 0
for line in sys.stdin:
    total += float(line)
    print(json.dumps(dict(samples_per_second=total)), flush=True)
""")
        c.measure(0.25)
        c.measure(0.5)
        c.close()
        self.assertEqual(c.result("resnet8_w4a4"), dict(samples_per_second=0.75))
        self.assertEqual(c.process.returncode, 0)

    def test_names_why_a_process_could_not_start(self):
        c = contestant("""print('{"error": "no module named somebody"}', flush=True)""")
        c.measure(0.1)
        c.close()
        self.assertEqual(c.result("resnet8_w4a4"), dict(model="resnet8_w4a4", system="Somebody", variant="float",
                                                         problem="no module named somebody"))

    def test_names_the_end_of_a_process(self):
        c = contestant("""
import sys
print('{"ready": true}', flush=True)
sys.stdin.readline()
sys.exit(7)
""")
        c.measure(0.1)
        c.measure(0.1)
        self.assertEqual(c.result("resnet8_w4a4")["problem"], "ended with 7")

    def test_does_not_wait_for_ever(self):
        c = contestant("""
import time
print('{"ready": true}', flush=True)
time.sleep(60)
""")
        c.process.stdin.write("0\n")
        c.process.stdin.flush()
        self.assertIsNone(c.read(0.1))
        self.assertEqual(c.problem, "no answer within 0 s")
        self.assertNotEqual(c.process.returncode, 0)


class Systems(unittest.TestCase):
    def test_binary_activations_have_no_8_bit_form(self):
        self.assertEqual(SYSTEM.variants_for("resnet8_w4a4"), ["float", "int8"])
        self.assertEqual(SYSTEM.variants_for("resnet8_bb"), ["float"])

    def test_recurrent_networks_are_not_plain(self):
        self.assertEqual(SYSTEM.variants_for("lstm_w4a4"), [])
        self.assertIn("written", systems.properties("lstm_w4a4"))

    def test_nothing_is_known_of_a_file(self):
        self.assertEqual(systems.properties("digits_rnn", own=True), {"any"})
        self.assertEqual(SYSTEM.variants_for("resnet8_w4a4", own=True), [])


class Table(unittest.TestCase):
    def test_shows_the_best_form_and_the_ratio_to_the_fastest_runtime(self):
        rows = [dict(ROW, system="qloom", variant="exact", samples_per_second=6000.0, ratio_to_fp32_peak=3.0),
                dict(ROW, system="LiteRT"), dict(ROW, system="LiteRT", variant="int8", samples_per_second=3000.0),
                dict(ROW, system="oneDNN (layers only)", samples_per_second=9000.0)]
        line = table.text(ABOUT, rows).splitlines()[-1]
        self.assertEqual(line, "| resnet8_w4a4 | 3 (exact, 6k) | 1.2 (int8, 3k) | 1.2 (float, 9k) | 2.00 |")

    def test_names_what_was_not_measured(self):
        rows = [ROW, dict(model="resnet8_w4a4", system="LiteRT", variant="int8", problem="not installed: no network"),
                dict(model="jets_w6a6", system="LiteRT", variant="int8", problem="not installed: no network")]
        self.assertIn("- LiteRT int8 on resnet8_w4a4, jets_w6a6: not installed: no network", table.text(ABOUT, rows))


if __name__ == "__main__":
    unittest.main()
