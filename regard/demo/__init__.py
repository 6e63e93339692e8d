"""`regard demo`: from real data to a model, its score beside baselines, and something to look at."""

from regard.demo.classify import demo_classify
from regard.demo.image import demo_image
from regard.demo.label import demo_label
from regard.demo.speech import demo_speech
from regard.demo.transduce import demo_transduce

__all__ = ["DEMOS", "demo_classify", "demo_image", "demo_label", "demo_speech", "demo_transduce"]

DEMOS = {
    "label": demo_label,
    "classify": demo_classify,
    "transduce": demo_transduce,
    "speech": demo_speech,
    "image": demo_image,
}
