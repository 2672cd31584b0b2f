"""How a quick start ends; what it does is a matter of the process tests."""

import signal
from types import SimpleNamespace

from gateway import children, quickstart


class InterruptingConsole:
    """Presses Ctrl-C when it reads that the gateway serves."""

    def __init__(self):
        self.shown = []

    def print(self, text, **_):
        self.shown.append(text)
        if "Serving" in text:
            signal.raise_signal(signal.SIGINT)


def test_the_first_ctrl_c_says_how_long_it_may_take_and_the_second_goes_to_the_server():
    console, sent = InterruptingConsole(), []
    server = SimpleNamespace(process=SimpleNamespace(send_signal=sent.append))
    before = signal.getsignal(signal.SIGINT)
    with children.interruptible():
        quickstart._wait_for_interrupt(server, console=console)
        assert sent == []
        signal.raise_signal(signal.SIGINT)
    assert sent == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is before
    said = "Stopping; open requests may take up to 8 s more (Ctrl-C again stops at once) ..."
    assert console.shown[-1] == said
