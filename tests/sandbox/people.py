"""What the made-up creators are called and what they write."""

from __future__ import annotations

NAMES = (
    "Asha Menon", "Rohan Kapoor", "Zoë Durand", "Łukasz Nowak", "María José Peña", "अनन्या शर्मा", "राहुल वर्मा",
    "れん たべた",
    "Kofi Bakes 🥐", "Miso & Maple", "O'Hara \"Bo\" Studio", "محمد الرفاعي", "Ngọc Ánh",
    "𝓛𝓾𝓷𝓪 𝓖𝓵𝓸𝔀", "Tea/Time & Co.", "",
)  # fmt: skip
BIOS = (
    "Slow food, bright plates 🍋\nNew recipe every Thursday\n📍 Pune",
    "यात्रा • कैमरा • चाय ☕",
    "Runner. Reader. Mother of two 👩‍👧‍👦",
    "Collabs: write to hello@sandbox.example",
    "\"Less, but better\" \\ minimal home",
    "Fitness coach | 10+ years | सुबह 5 बजे 💪",
    "Tech in two minutes ⚡ no nonsense",
    "شاي وكتب",
)  # fmt: skip
CAPTIONS = (
    "Lemon rice in 40 seconds 🍋 #weeknightdinner #cooking",
    "Swipe for the full grocery list ➡️\n\n#mealprep",
    "Breakfast, but make it golden ☀️",
    "आज का नाश्ता: पोहा और चाय ☕ #नाश्ता #indianfood",
    "पहाड़ों की सुबह, बस यही चाहिए 🏔️ #travel",
    "How we test a pan (full video)",
    "5 km before sunrise 🏃‍♀️💨 who is in? #running #fitness",
    "New phone, same thumbs. Honest notes after 30 days #tech",
    'She said "one more take" and it was the one 🎬',
    "Monsoon reading list 🌧️📚\n1. slow\n2. slower\n3. tea",
    "😍😍😍",
    "Sari drape number 12 ✨ कौन सा रंग? #saree #fashion",
    "Paid work with friends, as always marked. #ad #skincare",
    "<b>not bold</b> & proud; back\\slash; tab\there",
)
CATEGORIES = ("Kitchen/cooking", "Digital creator", "Photographer", "Health/beauty", "Education", "")
PLACES = ("Mumbai, Maharashtra", "London, United Kingdom", "दिल्ली", "São Paulo, Brazil")
COMMENTS = ("With arborio? 😍", "Which pan is that?", "👏👏", "बहुत सुंदर!", "Link?", "First!", "where is this? 🌄")
