"""What of a text may be shown."""

import pytest

from superserve._redact import _LONGEST_QUOTE, Redactor, strip_controls

ODD = [
    "\x1b[31mred\x1b[0m",
    "a\u202egnp.exe",
    "a\u2066b",
    "\ua7da\u0378",
    "\ud800",
    "bell\a",
    "\x9b1m",
    "zero\u200bwidth",
]


@pytest.mark.parametrize("text", ODD)
def test_what_is_shown_can_be_printed_and_obeys_nobody(text):
    redactor = Redactor("secret")
    assert redactor.show(text).isprintable()
    assert (redactor.quote(text) or "").isprintable()


def test_lines_stay_lines_and_letters_of_all_languages_stay():
    redactor = Redactor("secret")
    assert redactor.show("grün\n日本語 secret") == "grün\n日本語 ***"
    assert redactor.quote("grün\n日本語\tsecret") == "grün 日本語 ***"


def test_controls_are_taken_out_of_output_and_tabs_stay():
    assert strip_controls("\x1b[1mbold\x1b[0m\tx\x07") == "bold\tx"


def test_words_that_are_too_long_are_cut_and_where_nothing_is_left_there_are_none():
    redactor = Redactor("secret")
    whole = "x" * _LONGEST_QUOTE
    assert redactor.quote(whole) == whole
    assert redactor.quote(whole + "x") == whole[:-1] + "…"
    assert redactor.quote(" \n\x07") is None


def test_what_is_learned_later_is_hidden_as_well_and_what_was_first_always():
    redactor = Redactor("first")
    redactor.learn("a'b")
    assert redactor.hide("first, a'b, " + repr("a'b\"")) == "***, ***, '***\"'"
    for number in range(300):
        redactor.learn(f"token-{number:03}")
    assert redactor.hide("first token-000 token-299") == "*** token-000 ***"
