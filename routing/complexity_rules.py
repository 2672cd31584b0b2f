"""The table behind `complexity.score`: which words name a task or a demand, and how many points each is worth.

Data only; nothing here reads a prompt. To change how requests are judged, change a row, then run the everyday table in
`tests/unit/routing/test_complexity.py` (what people feel) and `tests/wire/test_router_quality.py` (what a stronger
model gains).

Where the points come from: a request starts at `START`, inside the second of the four equal bands that layers claim by
default (from 0, 0.25, 0.5, 0.75). A task is worth what moves it to the band of the models that answer it reliably. The
order among tasks follows the measured gain of a strong model over a weak one: code, then mathematics, sums in words,
long passages, expert and everyday knowledge, and last facts about people and places, which a stronger model hardly
knows better. What is smaller than a band only orders requests within it.
"""

from __future__ import annotations

from dataclasses import dataclass

START = 0.3


def _terms(words: str, marks: tuple[str, ...] = ()) -> frozenset[str]:
    return frozenset(words.split()) | frozenset(marks)


def _marks(marks: str) -> tuple[str, ...]:
    return tuple(marks.split())


@dataclass(frozen=True, slots=True)
class Rule:
    """Speaks when its terms are found: `points` for the first, `more` for each further one, `most` in all."""

    name: str
    points: float
    terms: frozenset[str]
    """Whole words in lower case; `race_condition` is two words side by side; marks are found anywhere."""
    beside: frozenset[str] = frozenset()
    """Unless empty, one of these must be found too: a verb alone says little."""
    unless: frozenset[str] = frozenset()
    """None of these may be found."""
    least: int = 1
    """Different terms needed before the rule speaks."""
    more: float = 0.0
    most: float = 1.0


CODE_MARKS = (
    *_marks('``` """ #include #!/ ): () ); ){ => }; </ == != && || :: += -> [i] [] [0'),
    *(") {", "{\n", "if (", " = ", "* FROM"),
)
FORMULA_MARKS = (
    *_marks(r"\frac \sqrt \[ \( \{ \le \cdot \sum \int $x $n $a $( }$ ^2 ^{ x^ (x) ∫ ∑ √"),
    " = ",
)
_PROOF_UNSPACED = ("证明", "証明")
_WRITE_UNSPACED = ("写", "编写", "書いて", "実装")
_CODE_UNSPACED = ("代码", "函数", "Python", "SQL", "コード", "関数")
_TRANSLATE_UNSPACED = ("翻译", "翻訳")
UNSPACED = _PROOF_UNSPACED + _WRITE_UNSPACED + _CODE_UNSPACED + _TRANSLATE_UNSPACED
"""Words of scripts that do not part words; found like marks."""

_PROGRAMMING = (
    "sql html css python javascript typescript java golang kotlin php perl flutter react django bash powershell"
    " dockerfile regex regexp algorithm"
)
_CODE = _PROGRAMMING + (
    " function functions script scripts classes module subroutine parser compiler unit_test unit_tests this_code"
    " json_schema excel_formula pull_request hash_map linked_list data_structure in_rust in_go c_program"
    " python_program java_program program_that program_in program_to funktion función fonction hàm"
)
CODE_WORDS = _terms(_CODE)
_NEAR_CODE = "code query component endpoint api website webpage app program"
_PROSE = (
    "email letter poem haiku song story joke tweet caption slogan toast blog post article paragraph sentence text"
    " essay description exercise workout training"
)
"""An app, an API or a website is as often written about as written."""
_WRITE = "write create implement build make develop generate code complete schreibe escribe écris viết"
_MEND = "fix debug refactor optimize optimise review explain port rewrite convert migrate improve error test"
_BUG = " stack_trace traceback exception bug segfault race_condition deadlock memory_leak"

ASKED_TASKS = (
    Rule(
        "asks for a proof",
        0.5,
        _terms(
            "prove disprove lemma a_proof proof_that formal_proof theorem_that show_that beweise demuestra démontre"
            " démontrer démontrez chứng_minh",
            _PROOF_UNSPACED,
        ),
    ),
    Rule(
        "asks for a proof",
        0.5,
        _terms("derive derivation"),
        beside=_terms("equation equations formula expression identity theorem law principle distribution estimator"),
    ),
    Rule(
        "system to design",
        0.34,
        _terms("design architect architecture plan propose"),
        beside=_terms(
            "database system systems microservices cluster migration pipeline schema infrastructure backend"
            " kubernetes cache queue api scalable distributed protocol"
        ),
    ),
    Rule("code to write", 0.36, _terms(_WRITE, _WRITE_UNSPACED), beside=_terms(_CODE, _CODE_UNSPACED)),
    Rule("code to write", 0.34, _terms(_WRITE), beside=_terms(_NEAR_CODE), unless=_terms(_PROSE)),
    Rule("code to mend or explain", 0.34, _terms(_MEND), beside=_terms(_CODE + _BUG)),
    Rule("code to mend or explain", 0.32, _terms(_MEND), beside=_terms(_NEAR_CODE), unless=_terms(_PROSE)),
)
"""Named by a verb, so looked for only where instructions stand: a pasted article proves and builds things too."""

GIVEN_TASKS = (
    Rule(
        "code to read",
        0.34,
        _terms("def return self elif const import null void int str len print true none", CODE_MARKS),
        beside=frozenset(CODE_MARKS),
        least=3,
        more=0.01,
        most=0.38,
    ),
    Rule(
        "query or error to explain",
        0.26,
        _terms(
            "typeerror valueerror keyerror attributeerror syntaxerror nullpointerexception segfault traceback"
            " stack_trace exit_code inner_join left_join group_by",
            ("* FROM",),
        ),
    ),
    Rule(
        "formal mathematics",
        0.28,
        _terms(
            "polynomial polynomials integral derivative matrix eigenvalue eigenvalues vector vectors theorem modulo"
            " logarithm sqrt cos sin tan triangle circle perpendicular parabola ellipse hyperbola inequality equation"
            " equations integer integers real_numbers real_number divisor divisors prime primes gcd lcm factorial"
            " permutations probability expected_value coefficient roots hexagon polygon asymptote subgroup isomorphic"
            " homomorphism abelian topology converges differentiable bijective radius angle angles perfect_square"
            " perfect_squares digit digits arithmetic_sequence geometric_sequence many_ways area perimeter volume"
            " remainder multiples two_digit three_digit positive_integers coordinates rectangle cube prism congruent"
            " whole_number simplify",
            FORMULA_MARKS,
        ),
        least=2,
        more=0.01,
        most=0.34,
    ),
    Rule(
        "constraints to satisfy",
        0.2,
        _terms(
            "puzzle clues clue sudoku riddle constraints constraint exactly_one next_to adjacent directly_left"
            " directly_right immediately_left immediately_right left_of right_of unique schedule timetable seating"
        ),
        least=2,
        more=0.02,
        most=0.26,
    ),
)
"""Named by the material itself."""

TEXT_TASKS = (
    Rule(
        "translation",
        -0.08,
        _terms(
            "translate translation übersetze übersetzen traduce traducir traduis traduire dịch", _TRANSLATE_UNSPACED
        ),
    ),
    Rule("proofreading", -0.04, _terms("proofread spelling typos grammar rephrase reword paraphrase shorten")),
    Rule("picking out or sorting", -0.03, _terms("extract classify categorize categorise label sentiment")),
    Rule("summary", -0.02, _terms("summarize summarise summary tldr résumé fasse zusammenfassung resumen")),
)
"""Done to a text, whatever the text is about."""

LIGHT_TASKS = (
    Rule("programming topic", 0.08, _terms(_PROGRAMMING + " kubernetes docker linux git postgres redis recursion")),
    Rule("everyday writing", 0.02, _terms("email letter poem haiku song story joke tweet caption slogan toast blog")),
)

DEMANDS = (
    Rule(
        "hard engineering",
        0.17,
        _terms(
            "race_condition race_conditions deadlock deadlocks concurrency concurrent lock_free memory_leak"
            " memory_leaks zero_downtime multi_region distributed consensus sharding idempotent exactly_once"
            " thread_safe failover fault_tolerant high_availability kernel segfault scalability eventual_consistency"
            " throughput backpressure cryptographic vulnerability vulnerabilities"
        ),
        more=0.04,
        most=0.25,
    ),
    Rule(
        "multi-step reasoning",
        0.08,
        _terms(
            "by_step reason_through think_carefully carefully justify rigorous rigorously optimal edge_cases"
            " edge_case root_cause strategy"
        ),
        more=0.04,
        most=0.16,
    ),
    Rule(
        "analysis asked",
        0.16,
        _terms(
            "analyze analyse analysis evaluate critique assess trade_offs tradeoffs pros_and advantages_and"
            " implications compare contrast interpret counterarguments argue"
        ),
        more=0.04,
        most=0.22,
    ),
    Rule("explanation asked", 0.05, _terms("explain why how_does how_do how_would describe difference_between")),
    Rule(
        "long answer asked",
        0.1,
        _terms("essay report whitepaper chapter screenplay thesis detailed in_depth comprehensive business_plan"),
    ),
    Rule("strict output format", 0.05, _terms("json yaml xml csv markdown_table bullet_points exactly_3")),
    Rule(
        "law",
        0.08,
        _terms(
            "plaintiff defendant statute court courts liability liable tort jurisdiction constitutional amendment"
            " felony negligence contract landlord tenant lawsuit sued attorney clause gdpr legal"
        ),
        more=0.02,
        most=0.16,
    ),
    Rule(
        "medicine and biology",
        0.08,
        _terms(
            "patient patients diagnosis symptoms syndrome dose mg disease clinical therapy treatment tumor artery"
            " blood ecg mri chest_pain enzyme gene genes mutation protein proteins dna rna receptor neurons"
        ),
        more=0.04,
        most=0.2,
    ),
    Rule(
        "physics, chemistry, engineering",
        0.1,
        _terms(
            "velocity acceleration momentum force mass kg voltage electric_current resistance circuit wavelength"
            " frequency energy temperature pressure density entropy enthalpy reaction acid molar moles electron"
            " electrons quantum magnetic joules newton thermodynamic steam heat capacitor hz torque beam ft psia"
        ),
        more=0.03,
        most=0.2,
    ),
    Rule(
        "economics and statistics",
        0.08,
        _terms(
            "demand supply elasticity inflation gdp equilibrium marginal monopoly interest_rate bond bonds portfolio"
            " npv regression variance standard_deviation hypothesis confidence_interval depreciation inventory"
            " dividend dividends tax revenue"
        ),
        more=0.02,
        most=0.16,
    ),
    Rule(
        "conditions",
        0.03,
        _terms("if unless assuming suppose assume given whether provided otherwise consider let"),
        more=0.02,
        most=0.07,
    ),
    Rule(
        "several things to keep apart",
        0.02,
        _terms("each every both another different same respectively"),
        more=0.02,
        most=0.05,
    ),
)

FACTS = Rule(
    "facts about people and places",
    -0.06,
    _terms(
        "film movie song album band actor actress played plays sang sings singer won cup tv show series episode"
        " season character novel author wrote written born died king queen president prime_minister capital city"
        " country river island football league team baseball music released named sitcom opera musical championship"
        " olympic olympics british american english"
    ),
    more=-0.02,
    most=0.12,
)

QUESTION_WORDS = _terms(
    "who whose when where which what is are was did does do define spell wer wann wo was quién cuándo dónde cuál qui"
    " quand où quel quelle"
)
QUESTION_PAIRS = _terms("how_many how_much how_old how_long how_far how_tall what_time what_is wie_viele")
OPEN_ENDED = _terms(
    "why explain should best good meaning way ways advice recommend difference would could describe compare pros cons"
    " benefits ideas tips think feel you i my me we"
)
"""Words that make a short question one of judgement, or one about the person asking."""

AMOUNTS_ASKED = _terms(
    "how_many how_much how_long how_old how_far total percent percentage altogether calculate compute average"
    " remaining cost costs paid earn earns spend spent sold bought profit price combined fraction sum ratio solve"
    " left_over probability"
)
NUMBER_WORDS = _terms(
    "two three four five six seven eight nine ten twelve twenty thirty forty fifty hundred dozen half twice thrice"
    " double triple third quarter"
)

SALUTATIONS = _terms(
    "hi hello hey hiya yo howdy thanks thank thx ty cheers bye goodbye great cool nice perfect welcome morning"
    " evening night ping test hallo guten danke tschüss servus moin hola gracias adiós adios buenos buenas bonjour"
    " salut merci coucou ciao grazie olá obrigado obrigada xin chào cảm привет спасибо большое здравствуйте 你好 您好"
    " 谢谢 再见 早上好 こんにちは ありがとう 안녕하세요 안녕 감사합니다 مرحبا नमस्ते 👍 👋 🙏"
)
SMALL_TALK = SALUTATIONS | _terms(
    "there you that s is it all so much very a lot for now the good again see later how are doing today your help my"
    " friend up what this everyone got well have day one just to say i m im fine no more needed tag ok okay morgen"
    " abend dir euch vielen schön wie geht es ihnen qué tal cómo estás días tardes noches muchas ça va beaucoup ơn"
    " bạn assistant can me"
)

LONG_INPUT = ((6_000, 0.24), (1_200, 0.18), (600, 0.1), (300, 0.04))
"""From so many characters on, so many points: from about half a printed page on, weak models lose the thread."""
SUM_IN_WORDS = 0.26
"""For a calculation told as a story; 0.01 more for each number and each amount asked for, up to eight."""
QUICK_QUESTION = -0.1
LONG_SENTENCES = 0.04
TOOLS = 0.06
FILES = 0.06
LONG_CONVERSATION = 0.04
LONG_INSTRUCTIONS = 0.04
STRUCTURED_OUTPUT = 0.05
REASONING = 0.2
