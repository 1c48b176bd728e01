"""The words of our pages, in English and in Nepali; the browser's Accept-Language chooses."""

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

__all__ = ["TEXTS", "Language", "language_of"]


class Language(StrEnum):
    """A language that every page exists in, as the `lang` attribute names it."""

    ENGLISH = "en"
    NEPALI = "ne"


_ENGLISH: Final = {
    "pay_title": "Payment",
    "amount_owed": "To pay",
    "reference": "Reference",
    "pay_with": "Pay with {gateway}",
    "please_wait": "One moment...",
    "try_again": "Try again",
    "continue_payment": "Continue to the payment page",
    "back_to_shop": "Back to the shop",
    "reload": "Reload",
    "not_here": "It cannot be paid online here",
    "not_here_text": "Nothing was paid. Please ask the shop for another way to pay.",
    "ready": "Choose how to pay",
    "ready_text": "You go on to the payment company's own page, and come back here afterwards.",
    "starting": "Opening the payment page...",
    "starting_text": "This takes a moment. Please do not close this window.",
    "redirecting": "On to the payment page...",
    "redirecting_text": "If nothing happens, press the button.",
    "checking": "We are checking your payment",
    "checking_text": "The payment company has not told us yet. Please do not pay again: this page renews itself.",
    "open": "We have not seen a payment yet",
    "open_text": "If you have just paid, wait a moment: this page renews itself. Otherwise you can go on paying.",
    "paid": "Paid. Thank you!",
    "paid_text": "Your payment has arrived and is confirmed. You can close this page.",
    "surplus": "It was paid already",
    "surplus_text": "This was paid twice. Your second payment arrived too; the shop will tell you what becomes of it.",
    "refunded": "Paid back",
    "refunded_text": "This payment has been given back to you.",
    "canceled": "You canceled the payment",
    "canceled_text": "Nothing was paid. You can try again.",
    "expired": "The payment page has expired",
    "expired_text": "The payment was not made in time. You can try again.",
    "failed": "The payment did not go through",
    "failed_text": "Nothing was paid. You can try again.",
    "review": "A person is looking at your payment",
    "review_text": "Something about this payment needs a closer look. Please do not pay again; the shop will tell you.",
    "booking_canceled": "The booking is canceled",
    "booking_canceled_text": "There is nothing to pay any more. Please ask the shop if that surprises you.",
    "booking_refunded": "Paid, and paid back",
    "booking_refunded_text": "This was paid, and the money has been given back. There is nothing to pay any more.",
    "gateway_away": "The payment company does not answer",
    "gateway_away_text": "Nothing was paid. Please try again in a minute.",
    "amount_not_taken": "This amount cannot be paid this way",
    "amount_not_taken_text": "Nothing was paid. Please ask the shop for another way to pay.",
    "unavailable": "We cannot answer right now",
    "unavailable_text": "If you have paid, your payment is safe. Please do not pay again; reload this page soon.",
    "not_found": "There is nothing at this address",
    "not_found_text": "Please check that the address is complete, or go back to the shop.",
    "bad_request": "This request could not be read",
    "bad_request_text": "Please go back to the shop and try from there.",
    "went_wrong": "Something went wrong here",
    "went_wrong_text": "If you have paid, your payment is safe. Please do not pay again; reload this page soon.",
}

_NEPALI: Final = {
    "pay_title": "भुक्तानी",
    "amount_owed": "तिर्नुपर्ने रकम",
    "reference": "सन्दर्भ नम्बर",
    "pay_with": "{gateway} बाट तिर्नुहोस्",
    "please_wait": "एकछिन पर्खनुहोस्...",
    "try_again": "फेरि प्रयास गर्नुहोस्",
    "continue_payment": "भुक्तानी पृष्ठमा जानुहोस्",
    "back_to_shop": "पसलमा फर्कनुहोस्",
    "reload": "फेरि खोल्नुहोस्",
    "not_here": "यहाँबाट अनलाइन तिर्न मिल्दैन",
    "not_here_text": "केही तिरिएको छैन। कृपया तिर्ने अर्को उपाय पसललाई सोध्नुहोस्।",
    "ready": "कसरी तिर्ने, छान्नुहोस्",
    "ready_text": "तपाईं भुक्तानी कम्पनीको आफ्नै पृष्ठमा पुग्नुहुनेछ, र त्यसपछि यहीँ फर्कनुहुनेछ।",
    "starting": "भुक्तानी पृष्ठ खुल्दै छ...",
    "starting_text": "एकछिन लाग्छ। कृपया यो पृष्ठ बन्द नगर्नुहोस्।",
    "redirecting": "भुक्तानी पृष्ठमा जाँदै...",
    "redirecting_text": "केही भएन भने बटन थिच्नुहोस्।",
    "checking": "तपाईंको भुक्तानी जाँच्दै छौँ",
    "checking_text": "भुक्तानी कम्पनीले अझै नतिजा भनेको छैन। कृपया फेरि नतिर्नुहोस्: यो पृष्ठ आफैँ नयाँ हुन्छ।",
    "open": "भुक्तानी अझै देखिएको छैन",
    "open_text": "भर्खरै तिर्नुभएको हो भने एकछिन पर्खनुहोस्: यो पृष्ठ आफैँ नयाँ हुन्छ। नत्र भुक्तानी अगाडि बढाउन सक्नुहुन्छ।",
    "paid": "भुक्तानी भयो। धन्यवाद!",
    "paid_text": "तपाईंको भुक्तानी आइपुग्यो र पक्का भयो। अब यो पृष्ठ बन्द गर्न सक्नुहुन्छ।",
    "surplus": "पहिले नै तिरिसकिएको थियो",
    "surplus_text": "यो दुई पटक तिरियो। तपाईंको दोस्रो भुक्तानी पनि आइपुगेको छ; त्यसको के हुन्छ, पसलले तपाईंलाई खबर गर्नेछ।",
    "refunded": "रकम फिर्ता भयो",
    "refunded_text": "यो भुक्तानी तपाईंलाई फिर्ता गरिएको छ।",
    "canceled": "तपाईंले भुक्तानी रद्द गर्नुभयो",
    "canceled_text": "केही तिरिएको छैन। फेरि प्रयास गर्न सक्नुहुन्छ।",
    "expired": "भुक्तानी पृष्ठको समय सकियो",
    "expired_text": "समयमै भुक्तानी भएन। फेरि प्रयास गर्न सक्नुहुन्छ।",
    "failed": "भुक्तानी हुन सकेन",
    "failed_text": "केही तिरिएको छैन। फेरि प्रयास गर्न सक्नुहुन्छ।",
    "review": "तपाईंको भुक्तानी हाम्रो मान्छेले हेर्दै छ",
    "review_text": "यो भुक्तानी अलि राम्ररी हेर्नुपर्ने भएको छ। कृपया फेरि नतिर्नुहोस्; पसलले तपाईंलाई खबर गर्नेछ।",
    "booking_canceled": "बुकिङ रद्द भएको छ",
    "booking_canceled_text": "अब केही तिर्नु पर्दैन। अनौठो लाग्यो भने कृपया पसललाई सोध्नुहोस्।",
    "booking_refunded": "तिरिएको रकम फिर्ता भयो",
    "booking_refunded_text": "यो तिरिएको थियो, र रकम फिर्ता गरिएको छ। अब केही तिर्नु पर्दैन।",
    "gateway_away": "भुक्तानी कम्पनीले जवाफ दिएन",
    "gateway_away_text": "केही तिरिएको छैन। कृपया एक मिनेटपछि फेरि प्रयास गर्नुहोस्।",
    "amount_not_taken": "यो रकम यसरी तिर्न मिल्दैन",
    "amount_not_taken_text": "केही तिरिएको छैन। कृपया तिर्ने अर्को उपाय पसललाई सोध्नुहोस्।",
    "unavailable": "अहिले जवाफ दिन सकेनौँ",
    "unavailable_text": "तपाईंले तिर्नुभएको हो भने भुक्तानी सुरक्षित छ। फेरि नतिर्नुहोस्, र एकछिनपछि यो पृष्ठ फेरि खोल्नुहोस्।",
    "not_found": "यो ठेगानामा केही छैन",
    "not_found_text": "ठेगाना पूरा छ कि छैन हेर्नुहोस्, वा पसलमा फर्कनुहोस्।",
    "bad_request": "यो अनुरोध बुझ्न सकिएन",
    "bad_request_text": "कृपया पसलमा फर्केर त्यहीँबाट प्रयास गर्नुहोस्।",
    "went_wrong": "यहाँ केही बिग्रियो",
    "went_wrong_text": "तपाईंले तिर्नुभएको हो भने भुक्तानी सुरक्षित छ। फेरि नतिर्नुहोस्, र एकछिनपछि यो पृष्ठ फेरि खोल्नुहोस्।",
}

TEXTS: Final[Mapping[Language, Mapping[str, str]]] = MappingProxyType(
    {Language.ENGLISH: MappingProxyType(_ENGLISH), Language.NEPALI: MappingProxyType(_NEPALI)}
)


@lru_cache(256)
def language_of(accept_language: str) -> Language:
    """The language that this header likes best; English where it likes neither."""
    best, liked = Language.ENGLISH, 0.0
    for part in accept_language[:256].split(","):
        name, _, weight = part.partition(";")
        tag = name.strip().lower().partition("-")[0]
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        if tag in set(Language) and quality > liked:
            best, liked = Language(tag), quality
    return best
